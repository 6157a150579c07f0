"""The controller of an architecture search: which choices are likely, learnt from what sampled networks are worth.

REINFORCE (Williams, 1992) as in ENAS (Pham et al., 2018, section 2.2), but with a probability for each value of each
decision by itself instead of an LSTM's: a space here has about ten decisions and a few hundred samples to learn from,
for which an LSTM has too many weights; and what it has learnt can be printed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Networks that are compared on the same images in an update.
SAMPLES = 8
LEARNING_RATE = 0.15
# Of the entropy beside the reward: without it, chance differences would end the search among equal choices.
ENTROPY = 0.05
# Draws for a network that is allowed before one is taken among those that are.
MAX_DRAWS = 50

Choices = tuple[int, ...]


class Controller:
    """Probabilities of the values of each decision, equal at first.

    Args:
        sizes: how many values each decision has.
        allowed: choices at all decisions -> number of the network that they make; others are never drawn.
    """

    def __init__(self, sizes: Sequence[int], allowed: Mapping[Choices, int]) -> None:
        self._logits = [np.zeros(size) for size in sizes]
        self._allowed = allowed
        self._listed = list(allowed)

    @property
    def probabilities(self) -> list[npt.NDArray[np.float64]]:
        """Of each decision's values, shape (values,)."""
        exponents = [np.exp(logits - logits.max()) for logits in self._logits]
        return [part / part.sum() for part in exponents]

    def sample(self, generator: np.random.Generator) -> Choices:
        """Choices that make a network."""
        probabilities = self.probabilities
        for _ in range(MAX_DRAWS):
            choices = tuple(int(generator.choice(len(part), p=part)) for part in probabilities)
            if choices in self._allowed:
                return choices
        return self._listed[int(generator.integers(len(self._listed)))]

    def number(self, choices: Choices) -> int:
        """The number of the network that they make."""
        return self._allowed[choices]

    def update(self, samples: Sequence[Choices], rewards: Sequence[float]) -> None:
        """Make choices likelier that were worth more than the mean of these samples, which is the baseline.

        Args:
            rewards: of each sample, higher is better, in any unit: they are divided by their deviation.
        """
        values = np.asarray(rewards, np.float64)
        if not np.isfinite(values).all():
            return
        deviation = values.std()
        advantages = (values - values.mean()) / deviation if deviation > 0 else np.zeros(len(values))
        for place, part in enumerate(self.probabilities):
            chosen = np.eye(len(part))[[choices[place] for choices in samples]]
            # The gradient of the log-probability of a choice, and that of the entropy.
            step = (advantages[:, None] * (chosen - part)).mean(axis=0)
            logs = np.log(np.maximum(part, 1e-12))
            step -= ENTROPY * part * (logs - (part * logs).sum())
            self._logits[place] += LEARNING_RATE * step

    def state(self) -> list[list[float]]:
        """What it has learnt."""
        return [logits.tolist() for logits in self._logits]

    def go_on(self, state: Any) -> None:
        """Take over what `state` gave."""
        self._logits = [np.array(logits) for logits in state]
