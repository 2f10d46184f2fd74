"""What all outputs share: colours, and how labels and times are written."""

from kinetag.naming import UNNAMED, readable
from kinetag.timeline import FormFault, Person, Tempo, Timeline, frame_at

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/): distinct with any kind of colour vision. One a person.
PEOPLE = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2")

# Paul Tol's 'light' scheme (https://personal.sron.nl/~pault/): for filling cells that carry dark text. One a label.
LABELS = ("#77AADD", "#EE8866", "#44BB99", "#EEDD88", "#FFAABB", "#BBCC33", "#99DDFF", "#AAAA00")

Color = tuple[int, int, int]


def person_color(person: int) -> Color:
    """(red, green, blue) of a person's id, 1 and up."""
    code = PEOPLE[(person - 1) % len(PEOPLE)]
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def totals(person: Person) -> dict[str, tuple[int, float]]:
    """What a person does by name, without 'other': full repetitions and seconds, in order of time."""
    found: dict[str, tuple[int, float]] = {}
    for segment in person.segments:
        name = segment.name(way=False)
        if name not in UNNAMED:
            count, seconds = found.get(name, (0, 0.0))
            found[name] = count + segment.repetition_count, seconds + segment.duration
    return found


def clock(seconds: float) -> str:
    """'0:04.2', '12:30.0', '1:02:03.5'."""
    tenths = max(0, round(seconds * 10))
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds_part = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{seconds_part}" if hours else f"{minutes}:{seconds_part}"


def lasting(timeline: Timeline) -> str:
    """'0:55.2', or '0:10.0 to 0:22.0 of 0:55.2' where only a part was analysed."""
    if timeline.whole:
        return clock(timeline.duration)
    return f"{clock(timeline.start)} to {clock(timeline.end)} of {clock(timeline.duration)}"


def counted(repetitions: int) -> str:
    """'1 repetition', '8 repetitions'."""
    return "1 repetition" if repetitions == 1 else f"{repetitions} repetitions"


def fault_text(fault: FormFault, frame_rate: float = 0.0) -> str:
    """'the hips sag: body line -24°, should not be below -15°; in 4 of 5, worst at 0:07.2, frame 216 (-31°)'."""
    way = "above" if fault.above else "below"
    middle, limit = (measured(fault, value) for value in (sorted(fault.values)[len(fault.values) // 2], fault.limit))
    return (
        f"{fault.description}: {readable(fault.signal)} {middle}, should not be {way} {limit}; in {len(fault.times)} "
        f"of {fault.judged}, worst at {worst_text(fault, frame_rate)} ({measured(fault, fault.worst[1])})"
    )


def worst_text(fault: FormFault, frame_rate: float = 0.0) -> str:
    """When a fault was worst: '0:07.2, frame 216', without the frame where the source's are not known."""
    time = fault.worst[0]
    return clock(time) + (f", frame {frame_at(time, frame_rate)}" if frame_rate > 0 else "")


def measured(fault: FormFault, value: float) -> str:
    """A value of what a fault is told by: '-24°', '38%' of 'uneven', '0.12' of a height or width."""
    unit = "" if fault.signal == "knee_gap" or fault.signal.endswith("_height") else "°"
    unit = "%" if fault.name == "uneven" else unit
    return f"{value:.{0 if unit else 2}f}{unit}"


def tempo_text(tempo: Tempo) -> str:
    """'2.1-0.3-1.4-0.5': the way there, pause, the way back, rest; the rest is left out where nothing followed."""
    return "-".join(f"{seconds:.1f}" for seconds in tempo if seconds is not None)
