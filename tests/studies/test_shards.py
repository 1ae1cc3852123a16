"""Which part of a study is for a process: by hand, under torchrun, in a Slurm array."""

import pytest

from arithtf.studies.shards import ALL, Shard


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
