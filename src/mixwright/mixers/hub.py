"""Learned mixers as the Hugging Face hub has models: a folder with weights, config and card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixwright.checkpoint import CheckpointError, first_line
from mixwright.files import parse_json, write_json
from mixwright.mixers.mixer_file import PLAIN, Parts, write_mixer
from mixwright.requirements import require

_FILE = "mixer.pt"
_MADE_HERE = "<!-- Written by mixwright; without this line it stays when a mixer is saved here. -->"


def on_hub(mixer: Parts, encoder: Mapping[str, Any] | None = None) -> Any:
    """Return a mixer in the form that ``huggingface_hub.ModelHubMixin`` saves and uploads."""
    return _hub_class()(mixer, encoder)


def file_on_hub(name: str | Path, **options: Any) -> Path:
    """Return the file of a mixer in a folder, or of a repository, which is downloaded.

    Raises:
        CheckpointError: there is no such folder or repository, or it has no such file.
    """
    hub_class = _hub_class()
    folder = Path(name)
    if folder.is_dir():
        if not (folder / _FILE).is_file():
            raise CheckpointError(
                f"from_pretrained: {folder} holds no {_FILE}; expected a folder that "
                "save_pretrained wrote. Runs and files are read by load_mixer."
            )
        return folder / _FILE
    try:
        found: Path = hub_class.from_pretrained(str(name), **options).file
    except (OSError, ValueError) as error:  # also what the hub and its cache raise
        raise CheckpointError(
            f"from_pretrained: there is no folder {name}, and the hub gave no {_FILE} of a "
            f"repository of that name ({type(error).__name__}: {first_line(error)})"
        ) from error
    return found


def _hub_class() -> Any:
    hub: Any = require("huggingface_hub", "0.30", "hub")

    class OnHub(hub.ModelHubMixin):
        """A mixer to save, or the file of one that was fetched."""

        def __init__(self, mixer: Any, encoder: Mapping[str, Any] | None = None) -> None:
            self.mixer, self.encoder = mixer, encoder
            self.file = Path()

        def _save_pretrained(self, save_directory: Path) -> None:
            write_mixer(self.mixer, save_directory / _FILE, self.encoder)
            write_json(save_directory / "config.json", _config(self.mixer))
            card = save_directory / "README.md"
            if card.is_file() and _MADE_HERE in card.read_text(encoding="utf-8"):
                card.unlink()  # the hub's mixin keeps any that is there, of another mixer too

        @classmethod
        def _from_pretrained(cls, *, model_id: str, **options: Any) -> Any:
            known = ("revision", "cache_dir", "force_download", "local_files_only", "token")
            asked = {key: options[key] for key in known if key in options}
            found = cls(None)
            found.file = Path(hub.hf_hub_download(model_id, _FILE, **asked))
            return found

        def generate_model_card(self, *args: Any, **more: Any) -> Any:
            return hub.ModelCard(_card(self.mixer, self.encoder))

    return OnHub


def _config(mixer: Parts) -> dict[str, Any]:
    """What the hub shows of a mixer; the file of weights has it too."""
    plain = {name: getattr(mixer, name) for name in PLAIN}
    return {
        "library_name": "mixwright",
        "method": _method(mixer),
        "network": type(mixer.network).__name__,
        "network_settings": dict(mixer.network.settings),
        **plain,
    }


def _recipe(mixer: Parts) -> Mapping[str, Any]:
    """The recipe of the run that a mixer comes from; empty where it comes from none."""
    text = mixer.about.get("recipe")
    return parse_json(text) if isinstance(text, str) else {}


def _method(mixer: Parts) -> str | None:
    return _recipe(mixer).get("method", mixer.about.get("method"))


def _card(mixer: Parts, encoder: Mapping[str, Any] | None) -> str:
    """The card: what it is, how it is loaded, how it was trained."""
    how: Mapping[str, Any] | None = mixer.about.get("encoder") if encoder is None else encoder
    net, given, model = "of your own: give its architecture", ", encoder=net", ""
    extras = "hub"
    if mixer.encoder is None:
        net, given, model = "none: it looks through your model", "", ", model=model"
    elif how is not None:
        net, given, extras = str(how["name"]), "", "hub,lab"  # networks are of the laboratory
    facts = {
        "method": _method(mixer) or "not known",
        "network of masks": type(mixer.network).__name__,
        "encoder": net,
        **{name: getattr(mixer, name) for name in PLAIN},
    }
    recipe = _recipe(mixer)
    trained = (
        f"## How it was trained\n\n{_table('option', recipe)}\n"
        if recipe
        else "## How it was trained\n\nIn a loop of its owner's, of which nothing is known here.\n"
    )
    return f"""---
library_name: mixwright
tags:
- data-augmentation
- mixup
- model_hub_mixin
---

{_MADE_HERE}

# A learned mixer

A trained network of masks, frozen, that mixes images and labels to train classifiers with
[mixwright](https://github.com/mixwright/mixwright).

{_table("what", facts)}
## How to use it

    pip install 'mixwright[{extras}]'

```python
import mixwright as mw

mixer = mw.LearnedMixer.from_pretrained("owner/name"{given})  # or a folder
mix = mw.Mix(mixer, num_classes=10)
images, targets = mix(images, labels{model})
```

Images are in the scale that it learned with: [0, 1] where it comes from a run of mixwright. Labels
weigh by the shares that were drawn. Loading runs no code of this repository.

{trained}"""


def _table(head: str, values: Mapping[str, Any]) -> str:
    rows = "".join(f"| {name} | {_code(value)} |\n" for name, value in values.items())
    return f"| {head} | value |\n|---|---|\n{rows}"


def _code(value: object) -> str:
    """A value as code in a table: nothing of it is markup."""
    text = " ".join(str(value).replace("`", "'").split()).replace("|", "\\|")
    return f"`{text}`" if text else ""
