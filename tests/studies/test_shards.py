"""Which part of a study is for a process: by hand, under torchrun, in a Slurm array."""

import pytest
import torch

from arithtf.studies.shards import ALL, Shard, take_gpu


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ALL),
        ({"RANK": "2", "WORLD_SIZE": "8", "LOCAL_RANK": "0"}, Shard(2, 8)),
        ({"RANK": "2"}, ALL),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, Shard(3, 4)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "5",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            Shard(2, 4),
        ),
    ],
)
def test_the_part_of_a_process_by_its_environment(environ, expected):
    assert Shard.of_environment(environ) == expected


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "0/0", "a/b", "0/2/3"])
def test_what_is_no_shard(text):
    with pytest.raises(ValueError, match="expected a shard i/n with i from 0"):
        Shard.parse(text)


def test_a_slurm_array_with_holes_is_refused():
    environ = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "3"}
    with pytest.raises(ValueError, match=r"even steps.*got task 7 of 3 from 0 on; say --shard i/n"):
        Shard.of_environment(environ)


def test_ranks_share_the_gpus_of_a_machine(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        for environ in ({}, *({"LOCAL_RANK": str(rank)} for rank in range(3))):
            take_gpu(environ)
    assert taken == [0, 1, 0]
