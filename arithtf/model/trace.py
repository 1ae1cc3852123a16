"""`Trace`: read and replace what a forward pass computes on its way, by name.

The names are those of TransformerLens, so that what is written for it can be read here. A layer
`blocks.{i}` is an attention block and the MLP block right after it; an MLP block that follows no
attention is a layer of its own. So `("attention", "mlp") * 6` has the layers 0 .. 5, as GPT-2 has,
and `("mlp", "attention", "mlp", "mlp")` has three: mlp; attention and mlp; mlp.

| name | shape | what |
|---|---|---|
| hook_embed | B T C | embeddings of tokens |
| hook_pos_embed | B T C | what the ids add, where the encoding has an embedding |
| blocks.{i}.hook_resid_pre | B T C | the stream before the layer |
| blocks.{i}.ln1.hook_normalized | B T C | what attention reads |
| blocks.{i}.attn.hook_q | B Q H D | queries |
| blocks.{i}.attn.hook_k, hook_v | B T H' D | keys and values; H' = H but for grouped queries |
| blocks.{i}.attn.hook_attn_scores | B H Q T | with scale and mechanism; -inf where not visible |
| blocks.{i}.attn.hook_pattern | B H Q T | weights; rows sum to 1, or to 0 if nothing is visible |
| blocks.{i}.attn.hook_z | B Q H D | mixed values |
| blocks.{i}.hook_attn_out | B Q C | what attention adds |
| blocks.{i}.hook_resid_mid | B Q C | the stream between attention and MLP |
| blocks.{i}.ln2.hook_normalized | B Q C | what the MLP reads |
| blocks.{i}.mlp.hook_pre, hook_pre_linear | B Q hidden | before the activation; its factor |
| blocks.{i}.mlp.hook_post | B Q hidden | after it |
| blocks.{i}.hook_mlp_out | B Q C | what the MLP adds |
| blocks.{i}.hook_resid_post | B Q C | the stream after the layer |
| ln_final.hook_normalized | B Q C | what the unembedding reads |

Q is T, but from the last attention block on only the columns start .. stop-1 are computed. Unlike
in TransformerLens, `hook_normalized` has the gain in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import Tensor


class Trace:
    """What to read and what to replace in a forward pass.

        without_mlp = {"blocks.0.hook_mlp_out": torch.zeros_like}
        trace = Trace("blocks.*.attn.hook_pattern", replace=without_mlp)
        logits = model(tokens, query_ids, key_ids, trace=trace)
        trace["blocks.0.attn.hook_pattern"]

    Only what is asked for is computed apart: patterns, for instance, cost a pass of the reference
    implementation. What is read is what the pass goes on with, so after a replacement of that name.

    Args:
        read: names to keep; "*" stands for any text.
        replace: by name, a function of the tensor; the pass goes on with its result.
    """

    def __init__(
        self, *read: str, replace: Mapping[str, Callable[[Tensor], Tensor]] | None = None
    ) -> None:
        self.patterns, self.replace = read, dict(replace or {})
        self.values: dict[str, Tensor] = {}
        self._read: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Tensor:
        """What the last pass had under a name."""
        return self.values[name]

    def begin(self, names: Sequence[str]) -> None:
        """Forget the last pass.

        Args:
            names: all that the model has.

        Raises:
            ValueError: a name is none of them.
        """
        self.values.clear()
        found = {asked: [n for n in names if fnmatchcase(n, asked)] for asked in self.patterns}
        found |= {asked: [asked] if asked in names else [] for asked in self.replace}
        for asked, those in found.items():
            if not those:
                like = " or ".join(get_close_matches(asked, names)) or ", ".join(names)
                raise ValueError(f"the model has no intermediate {asked!r}; it has {like}")
        self._read = frozenset(name for asked in self.patterns for name in found[asked])

    def wants(self, name: str) -> bool:
        """Whether a value is read or replaced."""
        return name in self._read or name in self.replace

    def __call__(self, name: str, value: Tensor) -> Tensor:
        """The value to go on with.

        Raises:
            ValueError: a replacement of another shape.
        """
        if name in self.replace:
            given, value = value, self.replace[name](value)
            if value.shape != given.shape:
                raise ValueError(
                    f"expected a replacement of {name} of shape {list(given.shape)}, "
                    f"got {list(value.shape)}"
                )
        if name in self._read:
            self.values[name] = value
        return value
