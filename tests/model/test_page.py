"""docs/models.md: its Python runs as printed, and shows what it says."""

import re
from pathlib import Path

import torch

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()


def test_the_pages_python_runs(capsys):
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(compile(block, "models.md", "exec"), names)
    shape, difference = capsys.readouterr().out.splitlines()
    assert re.match(r"torch.Size\(\[4, 3, (\d+), \1\]\)", shape)
    assert "tensor(0." in difference
    assert "tensor(0.)" not in difference
    logits = names["logits"]
    torch.testing.assert_close(names["first"], logits[:, 4:5], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(names["second"], logits[:, 5:6], rtol=1e-4, atol=1e-5)
    assert 10.5e6 < names["config"].build().num_parameters() < 11.5e6
