"""Where the time of an analysis goes: the stages one after the other, in one process.

python bench/stages.py CLIP
"""

import argparse
import tempfile
import time
from pathlib import Path

from common import save, show

from kinetag.analyzer import RATE, Analyzer, runs_of
from kinetag.report import write_outputs
from kinetag.video import open_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    clip = parser.parse_args().clip
    rows, last = [], (time.perf_counter(), time.process_time())

    def done(stage: str) -> None:
        nonlocal last
        now = (time.perf_counter(), time.process_time())
        rows.append({"stage": stage, "wall s": round(now[0] - last[0], 2), "CPU s": round(now[1] - last[1], 2)})
        last = (time.perf_counter(), time.process_time())

    analyzer = Analyzer(running_labels=False, snapshots=True, every_frame=False)  # as `kinetag analyze` has it
    done("load")
    with open_source(clip, rate=RATE) as video:
        frames = list(video)
    done(f"decode, {len(frames)} frames kept")
    runs = list(runs_of(frames))
    found = [analyzer.estimator.estimate(run) for run in runs]
    done(f"poses, {sum(len(poses) for run in found for poses in run)}")
    for run, poses in zip(runs, found, strict=True):
        analyzer.follow_many(run, poses)
    done("tracking, clothing colours, small pictures")
    timeline = analyzer.finish(video)
    done("labels and repetitions")
    with tempfile.TemporaryDirectory() as folder:
        write_outputs(timeline, Path(folder) / "out", clip, annotated=False)
    done("report and tables")
    show(f"Stages of {clip.stem}", rows)
    save("stages", clip=clip.stem, rows=rows)


if __name__ == "__main__":
    main()
