"""Vocabularies of any words: their numbers, and how wide tokens are."""

import numpy as np
import pytest

from arithtf.tasks import Vocabulary
from arithtf.tasks.vocabulary import LARGEST, DigitVocabulary


@pytest.mark.parametrize(
    ("size", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (LARGEST, np.uint16)]
)
def test_one_number_of_each_width_is_kept_for_no_target(size, dtype):
    words = Vocabulary([f"w{i}" for i in range(size)])
    assert words.size == size
    assert words.dtype == dtype
    assert np.iinfo(words.dtype).max >= size
    assert words.id(words.token_text(size - 1)) == size - 1


def test_what_is_no_vocabulary():
    with pytest.raises(ValueError, match="at most 65535 tokens can be numbered, got 65536"):
        Vocabulary([str(i) for i in range(LARGEST + 1)])
    for words in ([], ["a", "b", "a"]):
        with pytest.raises(ValueError, match="no two alike"):
            Vocabulary(words)
    words = Vocabulary(["_", "left", "right"])
    assert (words.pad, words.id("right"), words.text([1, 2])) == (0, 2, "leftright")
    assert words == Vocabulary(["_", "left", "right"]) != Vocabulary(["_", "right", "left"])
    assert len({words, Vocabulary(["_", "left", "right"])}) == 1
    for call in (lambda: words.bos, lambda: words.id("up")):
        with pytest.raises(ValueError, match="expected one of the tokens _ left right, got"):
            call()
    with pytest.raises(ValueError, match=r"tokens are 0..2, got 3"):
        words.text([0, 3])
    with pytest.raises(ValueError, match="at most 255 tokens fit into a byte, got 256"):
        DigitVocabulary(10, ("+",), values=251)
    assert DigitVocabulary(10, ("+",), values=250).dtype == np.uint8
