"""``--recipe NAME``: the options that a published recipe stands for."""

from dataclasses import replace
from typing import Any, TypeVar

from mixwright.lab.cli.errors import users_words
from mixwright.lab.cli.options import RecipeOptions

Options = TypeVar("Options", bound=RecipeOptions)


def with_preset(options: Options) -> tuple[Options, dict[str, Any], str]:
    """Return options with those of ``--recipe`` filled in, as if they had been written.

    Also return the fields that METHODs which learn a mixer have beside, and a sentence on what was
    asked for in place of what the recipe says; empty where nothing was.

    Raises:
        UsageError: there is no such recipe.
    """
    from mixwright.lab.experiments.presets import fill, find_preset

    if options.recipe is None:
        return options, {}, ""
    with users_words():
        preset = find_preset(options.recipe)
    given = options.recipe_fields()
    fields, changed = fill(preset, given)
    learned = {name: value for name, value in preset.learned.items() if name not in given}
    sentence = f"--recipe {options.recipe} with {', '.join(changed)}" if changed else ""
    return replace(options, **fields), learned, sentence
