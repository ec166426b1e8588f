"""Predict how people vote: given a prompt and two responses, the probability that A wins, B wins, or a tie.

Example:
    >>> import votecast
    >>> judge = votecast.load_judge("bundled:baseline")
    >>> battles = [{"prompt": "Why is the sky blue?", "response_a": "Rayleigh scattering.", "response_b": "Because."}]
    >>> judge.predict_proba(battles).shape
    (1, 3)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from votecast.client import AsyncClient as AsyncClient
    from votecast.client import Client as Client
    from votecast.data.battles import Battles as Battles
    from votecast.data.inspection import inspect_votes as inspect_votes
    from votecast.data.outputs import write_votes as write_votes
    from votecast.data.reader import iter_votes as iter_votes
    from votecast.data.reader import read_votes as read_votes
    from votecast.data.simulation import simulate as simulate
    from votecast.errors import ArtifactError as ArtifactError
    from votecast.errors import ConfigError as ConfigError
    from votecast.errors import DataError as DataError
    from votecast.errors import JudgeError as JudgeError
    from votecast.errors import LeakError as LeakError
    from votecast.errors import MissingExtraError as MissingExtraError
    from votecast.errors import ServiceError as ServiceError
    from votecast.errors import VotecastError as VotecastError
    from votecast.jobs.predict import predict_file as predict_file
    from votecast.jobs.rerank import rerank as rerank
    from votecast.judges.cascade import cascade as cascade
    from votecast.judges.ensemble import ensemble as ensemble
    from votecast.judges.estimate import estimate as estimate
    from votecast.judges.evaluate import evaluate as evaluate
    from votecast.judges.load import load_judge as load_judge
    from votecast.judges.recalibrate import calibrate_judge as calibrate_judge
    from votecast.judges.train import train as train
    from votecast.judges.trained import TrainedJudge as TrainedJudge
    from votecast.reports.audit import audit_judge as audit_judge
    from votecast.types import CLASSES as CLASSES
    from votecast.types import Battle as Battle
    from votecast.types import Judge as Judge
    from votecast.types import Probabilities as Probabilities

_MODULES = {
    "audit_judge": "reports.audit",
    "calibrate_judge": "judges.recalibrate",
    "cascade": "judges.cascade",
    "AsyncClient": "client",
    "Client": "client",
    "Battles": "data.battles",
    "inspect_votes": "data.inspection",
    "iter_votes": "data.reader",
    "read_votes": "data.reader",
    "simulate": "data.simulation",
    "write_votes": "data.outputs",
    "ArtifactError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "JudgeError": "errors",
    "LeakError": "errors",
    "MissingExtraError": "errors",
    "ServiceError": "errors",
    "VotecastError": "errors",
    "ensemble": "judges.ensemble",
    "estimate": "judges.estimate",
    "evaluate": "judges.evaluate",
    "TrainedJudge": "judges.trained",
    "load_judge": "judges.load",
    "train": "judges.train",
    "predict_file": "jobs.predict",
    "rerank": "jobs.rerank",
    "CLASSES": "types",
    "Battle": "types",
    "Judge": "types",
    "Probabilities": "types",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'votecast' has no attribute {name!r}; public names are {', '.join(__all__)}")
    return getattr(importlib.import_module(f"votecast.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
