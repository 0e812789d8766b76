"""The name under which notebooks read recorded runs: `traffic.recording.load("run.jsonl.gz")`.

Here: that name, which the README promises.
Must not live here: anything else (runs/recording.py has it all).
"""

from traffic.runs.recording import BadRecording, Recording, load

__all__ = ["BadRecording", "Recording", "load"]
