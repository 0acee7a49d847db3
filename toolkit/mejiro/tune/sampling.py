"""Draw the values of trials: alike in each process that has the same seed and the same past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro.tune.space import Value

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, TrialState

# Trials that are drawn without regard to others, before the estimator has seen enough.
STARTUP_TRIALS = 10
# A trial with the usual values that is interrupted is tried again, but not for ever.
_USUAL_TRIES = 3


class TrialSampler:
    """Draw by a tree-structured Parzen estimator that is seeded anew for each trial.

    Source: Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (NIPS 2011), as Optuna
    has it. A generator that lives as long as its process would draw the first trials once more
    after every start, and the same in every process that shares a study; this one depends on
    `seed`, the trial's number and the trials before it. The first trial has the `usual` values.

    Has the methods of `optuna.samplers.BaseSampler`, which cannot be imported here.
    """

    def __init__(self, seed: int, usual: Mapping[str, Value]) -> None:
        self._seed = seed
        self._usual = usual
        self._inner: BaseSampler | None = None

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed the estimator for this trial."""
        from optuna.samplers import TPESampler

        state = np.random.SeedSequence((self._seed, trial.number)).generate_state(1)
        self._inner = TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            seed=int(state[0]),
            multivariate=True,
            constant_liar=True,
        )
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what is drawn together: nothing, where the usual values are taken."""
        if self._is_usual(study, trial):
            return {}
        return self._ready.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return values that are drawn together."""
        return self._ready.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return one value that is drawn by itself."""
        if param_name in self._usual and self._is_usual(study, trial):
            return self._usual[param_name]
        return self._ready.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Do nothing: what is known of the trials is in their storage."""

    def reseed_rng(self) -> None:
        """Do nothing: each trial has a seed of its own."""

    @property
    def _ready(self) -> BaseSampler:
        if self._inner is None:
            raise RuntimeError("a trial begins with before_trial")
        return self._inner

    def _is_usual(self, study: Study, trial: FrozenTrial) -> bool:
        """Say whether this trial has the usual values: the first that did not fail."""
        from optuna.trial import TrialState

        if trial.number >= _USUAL_TRIES:
            return False
        others = study.get_trials(deepcopy=False)
        return all(t.state is TrialState.FAIL for t in others if t.number < trial.number)
