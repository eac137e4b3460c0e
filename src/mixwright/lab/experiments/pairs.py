"""Options in a text: ``option=value``, several with commas between them."""


def option_pairs(what: str, rest: str | None) -> dict[str, str]:
    """Take the text behind a name apart.

    Args:
        what: how messages call the whole, e.g. ``method "cutmix:alpha="``.
        rest: what stands behind the colon; None where there is no colon.

    Returns:
        option -> text of its value, in the order given.

    Raises:
        ValueError: an option or a value is missing, or an option is given twice.

    Example:
        >>> option_pairs("method", "alpha=0.2,p=1")
        {'alpha': '0.2', 'p': '1'}
    """
    pairs: dict[str, str] = {}
    for item in [] if rest is None else rest.split(","):
        if not item.strip():
            raise ValueError(
                f"{what}: an option is missing behind a colon or a comma; options are written "
                "name:option=value, several with commas between them."
            )
        option, sign, value = item.partition("=")
        if not sign or not option.strip() or not value.strip():
            raise ValueError(
                f'{what}: cannot read "{item}"; options are written name:option=value, several '
                "with commas between them."
            )
        if option.strip() in pairs:
            raise ValueError(f"{what}: option {option.strip()} is given twice; keep one.")
        pairs[option.strip()] = value.strip()
    return pairs
