"""Evidence that may be looked at after every observation: e-values for "this happens too often".

A gate sees events that, were the canary no worse, would fall on it with a probability of at most `null`. Against that
stands a mixture over all larger probabilities (uniform on (null, 1)); the ratio of the two likelihoods

    E(k, n) = B(k+1, n-k+1) * P(Bin(n+1, null) <= k) / ((1-null) * null**k * (1-null)**(n-k))

is a supermartingale with mean 1 while the canary is no worse, so by Ville's inequality it ever reaches 1/risk with a
probability of at most `risk`, however often one looks and whenever one stops (Robbins 1970, Ann. Math. Statist. 41(5);
Johari, Koomen, Pekelis, Walsh 2017, "Peeking at A/B tests", KDD; for counts of failures in canaries: Lindon and Malek
2022, "Anytime-valid inference for multinomial count data", NeurIPS).

Does not know: what the events are.
"""

from __future__ import annotations

import functools
import math

FAR, FEW = 12, 20
"""Terms so many deviations, and then some, beyond the mean add less than a float can show."""
UNSEEN, HUGE = 1e-18, 1e200


@functools.lru_cache(maxsize=16384)  # each gate is looked at after every answer, and few have changed
def evidence(hits: int, trials: int, null: float) -> float:
    """E(k, n): how many times likelier `hits` of `trials` events are, were the probability above `null` (0 to 1).
    1 before any event.

    >>> round(evidence(0, 0, 0.5), 6), round(evidence(3, 3, 0.1), 1), evidence(1, 10, 0.5) < 1
    (1.0, 277.8, True)
    """
    whole = _log_beta(hits + 1, trials - hits + 1) + _log_at_most(hits, trials + 1, null)
    under = math.log1p(-null) + hits * math.log(null) + (trials - hits) * math.log1p(-null)
    return math.exp(min(whole - under, 700.0))  # e**709 is the largest float


def fewest(null: float, risk: float) -> int:
    """How many events in a row, all on the canary, are enough to refuse it at `risk`: the quickest it can be.

    >>> fewest(0.5, 0.01)
    9
    """
    count = 1
    while evidence(count, count, null) < 1 / risk:
        count += 1
    return count


def of_share(share: float, worse: float) -> float:
    """The largest probability that an event falls on the canary, which gets `share` of the conversations, while its
    rate is at most `worse` times the stable one's.

    >>> round(of_share(0.1, 1.0), 3), round(of_share(0.1, 2.0), 3)
    (0.1, 0.182)
    """
    return share * worse / (share * worse + 1 - share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_at_most(most: int, trials: int, probability: float) -> float:
    """log P(Bin(trials, probability) <= most), summed from the top down; terms too small to be seen are left out, so
    that it takes about sqrt(trials) steps."""
    no = 1 - probability
    mean, spread = trials * probability, math.sqrt(trials * probability * no)
    top = min(most, trials, math.ceil(mean + FAR * spread) + FEW)
    log = math.lgamma(trials + 1) - math.lgamma(top + 1) - math.lgamma(trials - top + 1)
    log += top * math.log(probability) + (trials - top) * math.log1p(-probability)
    term, total = 1.0, 0.0
    for k in range(top, -1, -1):
        total += term
        term *= k / (trials - k + 1) * no / probability  # the term of k - 1, as a part of the first
        if term < total * UNSEEN and k < mean:
            break
        if term > HUGE:
            log, total, term = log + math.log(term), total / term, 1.0
    return log + math.log(total)
