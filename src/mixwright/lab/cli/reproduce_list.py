"""Every published table and figure, with what it costs on this machine."""

from __future__ import annotations


def show_list(device: str) -> int:
    """Print every item with what it costs on a device."""
    from mixwright.lab.cli.prepare import devices
    from mixwright.lab.cli.progress import open_console, say
    from mixwright.lab.experiments.published.cost import COUNTED, item_seconds, measure_speed
    from mixwright.lab.experiments.published.load import find_item, item_names
    from mixwright.lab.reports.formatting import about_time

    console = open_console()
    speed = measure_speed(devices(device)[0])
    paper = ""
    for name in item_names():
        item = find_item(name)
        if name.partition(":")[0] != paper:
            paper = name.partition(":")[0]
            say(console, f"\n{paper}: {item.paper.partition(', ')[0]}")
        say(console, f"  {name:28}{item.title}")
        if item.diagram:
            cost = "a diagram: nothing to run"
        elif item.same_as:
            cost = f"the data of {item.same_as}"
        else:
            costs = {scale: item_seconds(item.at(scale), speed) for scale in item.scale_names}
            cost = ", ".join(
                f"{scale} {'no training' if seconds == 0 else 'about ' + about_time(seconds)}"
                if seconds is not None
                else f"{scale} unknown"
                for scale, seconds in costs.items()
            )
        say(console, f"{'':30}{cost}")
    say(console, f"\n{COUNTED}")
    return 0
