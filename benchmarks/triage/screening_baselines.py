"""Other ways to order the same episodes: what is published, what is sold, and what a library gives.

Each is a function (episodes to learn from, network asked about) -> score of each of its episodes. Those that learn
get the same inputs as ours (features, prior out of fold) and learn from the other networks alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ait import DAY, Network
from screening_eval import everything

from andon.learn.screening.training import Rows, balanced, inputs, prior
from andon.triage.screening.features import NUMBER
from andon.triage.screening.rank import rarity

Score = Callable[[Rows, Network], np.ndarray]


def asked(rows: Rows, one: Network) -> np.ndarray:
    own = everything(one)
    return np.concatenate([own.features, prior(rows).of(own.signatures)[:, None]], axis=1).astype(np.float32)


def size(rows: Rows, one: Network) -> np.ndarray:
    return one.alerts.astype(np.float64)


def tuned_level(rows: Rows, one: Network) -> np.ndarray:
    """AIT-ADS gives no severity. What a rule's level would be if somebody had tuned it on the other networks."""
    return np.exp(prior(rows).of(one.rules))


def first_seen(rows: Rows, one: Network) -> np.ndarray:
    """Time since the signature was seen on the host, then at the site."""
    return np.asarray(one.features[:, NUMBER["since pair"]] + one.features[:, NUMBER["since signature"]]) / 40


def rarity_score(rows: Rows, one: Network) -> np.ndarray:
    """Ours without labels."""
    return rarity(one.features).score


def isolation_forest(rows: Rows, one: Network) -> np.ndarray:
    """Refitted every day on the days so far (Aminanto et al. 2019), no labels."""
    from sklearn.ensemble import IsolationForest

    out = np.zeros(len(one))
    day = one.first // DAY
    for each in np.unique(day):
        at = day == each
        made = IsolationForest(n_estimators=100, random_state=1, n_jobs=1).fit(one.features[day <= each])
        out[at] = -made.score_samples(one.features[at])
    return out


def risk_based(rows: Rows, one: Network) -> np.ndarray:
    """Risk-based alerting as sold: a risk for each rule (the tuned level), summed for a host over 24 hours, new rules
    once; an episode has the risk of its host when it began."""
    risk = 100 * tuned_level(rows, one)
    out = np.zeros(len(one))
    order = np.argsort(one.first, kind="stable")
    for host in np.unique(one.host):
        mine = order[one.host[order] == host]
        for place, i in enumerate(mine.tolist()):
            near = [j for j in mine[: place + 1].tolist() if one.first[i] - one.first[j] <= DAY]
            rules: dict[int, float] = {int(one.signature[j]): float(risk[j]) for j in near}
            out[i] = sum(rules.values())
    return out


def _fitted(make: Callable[[], Any], weighted: bool = True) -> Score:
    def score(rows: Rows, one: Network) -> np.ndarray:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(StandardScaler(), make())
        name = model.steps[-1][0]
        extra = {f"{name}__sample_weight": balanced(rows)} if weighted else {}
        model.fit(inputs(rows), rows.labels, **extra)
        x = asked(rows, one)
        if hasattr(model, "predict_proba"):
            return np.asarray(model.predict_proba(x)[:, 1])
        return np.asarray(model.decision_function(x))

    return score


def _logistic() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.1, max_iter=300)


def _svm() -> Any:
    from sklearn.svm import SVC

    return SVC(C=1.0, gamma="scale", cache_size=200)


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.08, l2_regularization=1.0, random_state=1
    )


def _extra_trees() -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(300, min_samples_leaf=2, random_state=1, n_jobs=1)


def svm_smote(rows: Rows, one: Network) -> np.ndarray:
    """Neighbourhood cleaning, SVM-SMOTE and an SVM (Ndichu et al. 2021), with scikit-learn's parts: false episodes
    whose three nearest include a true one are taken out; true ones next to the border are interpolated until they are
    a fifth."""
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    scale = StandardScaler().fit(inputs(rows))
    x, y = scale.transform(inputs(rows)), rows.labels > 0
    near = NearestNeighbors(n_neighbors=4).fit(x).kneighbors(x, return_distance=False)[:, 1:]
    clean = y | ~y[near].any(axis=1)
    x, y = x[clean], y[clean]
    border = SVC(C=1.0, class_weight="balanced", cache_size=200).fit(x, y)
    edge = border.support_[y[border.support_]]
    true = np.flatnonzero(y)
    close = (
        NearestNeighbors(n_neighbors=min(6, len(true)))
        .fit(x[true])
        .kneighbors(x[edge], return_distance=False)[:, 1:]
    )
    rng = np.random.default_rng(1)
    many = max(int(0.25 * (~y).sum()) - len(true), 0)
    start = rng.integers(0, len(edge), many)
    other = true[close[start, rng.integers(0, close.shape[1], many)]]
    made = x[edge][start] + rng.random((many, 1)) * (x[other] - x[edge][start])
    model = SVC(C=1.0, cache_size=200).fit(np.r_[x, made], np.r_[y, np.ones(many, bool)])
    return np.asarray(model.decision_function(scale.transform(asked(rows, one))))


def explainable_boosting(rows: Rows, one: Network) -> np.ndarray:
    from interpret.glassbox import ExplainableBoostingClassifier

    made = ExplainableBoostingClassifier(interactions=0, outer_bags=2, n_jobs=1, random_state=1)
    made.fit(inputs(rows), rows.labels, sample_weight=balanced(rows))
    return np.asarray(made.predict_proba(asked(rows, one))[:, 1])


BASELINES: dict[str, Score] = {
    "episode size": size,
    "first seen": first_seen,
    "rarity (ours, no labels)": rarity_score,
    "tuned level (no severity in data)": tuned_level,
    "isolation forest by day": isolation_forest,
    "risk-based alerting": risk_based,
    "logistic": _fitted(_logistic),
    "IWSVM (weighted SVM)": _fitted(_svm),
    "NCR + SVM-SMOTE + SVM": svm_smote,
    "HistGradientBoosting": _fitted(_boosting),
    "ExtraTrees (scikit-learn)": _fitted(_extra_trees),
    "EBM (interpret-core)": explainable_boosting,
}
