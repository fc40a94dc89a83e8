import numpy as np
import pytest

from penjing.engines.building.agreement import BOUND, Agreement, measured, require
from penjing.engines.building.faults import Disagrees
from penjing.native.libraries import prebuilt


def logs(rows: list[list[float]]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Log-probabilities of rows of probabilities."""
    return np.log(np.array(rows, np.float32))


def test_equal_numbers_do_not_diverge() -> None:
    same = logs([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]])
    found = measured("guide", 2, 2, same, same)
    assert (found.tokens, found.mean, found.worst, found.top) == (2, 0.0, 0.0, 1.0)
    assert found.good


def test_divergence_is_that_of_the_wanted_from_the_found() -> None:
    found = measured("guide", 0, 1, logs([[0.5, 0.5]]), logs([[0.25, 0.75]]))
    assert found.mean == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75), rel=1e-5)
    assert found.top in (0.0, 1.0)
    assert not found.good


def test_other_words_are_fine_where_probabilities_are_close() -> None:
    close = Agreement("guide", 10, 8, 100, BOUND / 2, BOUND, 0.99)
    assert close.good
    far = Agreement("guide", 10, 8, 100, 2 * BOUND, 2 * BOUND, 0.99)
    require(prebuilt(), [close])
    with pytest.raises(Disagrees, match="guide"):
        require(prebuilt(), [close, far])
