"""The verdict on a run, as a sentence and an exit code; must not know how it was carried out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gossipfl.config.code import brief

AGREED = 1e-6  # the consensus distance below which models count as one, if the experiment has no tolerance
NAMED = 12  # peers that a sentence names
# Ends whose sentence names neither peers nor a distance.
CUT = "diverged", "no optimum", "interrupted", "dropped"
UNCERTIFIED = "svm", "module"  # models that never have a certificate, which the sentence always says
DONE, NETWORK, NOT_REACHED, UNWRITTEN, INTERRUPTED = 0, 5, 6, 7, 130


def verdict(summary: dict[str, Any], tolerance: float) -> tuple[int, str]:
    """The exit code and the sentence at the end of a run."""
    code, sentence = _ended(summary, tolerance)
    sentence += selected(summary.get("selection")) + spent(summary.get("budget"))
    if summary["stopped"] not in CUT:
        sentence += told(summary, tolerance if code else 0.0)
    elif summary.get("without"):
        sentence += f"; {whose(summary['learned_with'], summary['without'])}"
    if none := summary.get("no_reference"):
        sentence += f"; there is no pooled optimum to compare with: {none}"
    if lacking := summary.get("unwritten"):
        files = f"{len(lacking['files'])} file{'s' * (len(lacking['files']) > 1)}"
        sentence += f"; but {files} of the result could not be written ({lacking['why']})"
        code = code or UNWRITTEN
    return code, sentence


def selected(selection: Mapping[str, Any] | None) -> str:
    """The end of a sentence for a penalty that the peers have chosen; "" if they have chosen none."""
    if not selection:
        return ""
    penalties, value = selection["penalties"], selection["chosen"]
    ends = {penalties[0]: ", the largest value tried", penalties[-1]: ", the smallest value tried"}
    return f"; cross-validation chose {selection['key']} = {value:.3g}{ends.get(value, '')}"


def spent(budget: Mapping[str, Any] | None) -> str:
    """The end of a sentence for what private sums have told of a row, at most."""
    if not budget:
        return ""
    return (
        f"; {budget['sums']} private sums have spent epsilon = {budget['spent']:.3g} of {budget['epsilon']:g}, at delta = "
        f"{budget['delta']:g}, though {budget['colluders']} peers collude"
    )


def told(summary: Mapping[str, Any], unmet: float = 0.0) -> str:
    """The end of the sentence: how far the model is from the optimum of all data, as far as its certificate tells.

    `unmet`: the tolerance, if it was not met.
    """
    distance, known = summary.get("certificate"), summary.get("certified") or {}
    why = known.get("why", "")
    if distance is None:
        if known.get("endless"):
            return f"; {why}"
        said = why and (unmet or (summary.get("model") in UNCERTIFIED and summary.get("one_model", True)))
        return f"; there is no certificate of its distance to the optimum: {why}" if said else ""
    spread, alone = summary.get("consensus_distance"), "learned_with" in summary
    if alone:
        spread = known.get("spread")
    if known.get("biased") and spread is not None:
        who = (
            f"this peer is {spread:.2g} from the" if alone else f"the peers are within {spread:.2g} of their"
        )
        return (
            f"; {who} mean, which is {distance:.2g} from the optimum of all data, "
            f"{spread + distance:.2g} together: {brief(summary['algorithm'])} has that bias"
        )
    rounding = "at rounding, " if known.get("rounding") else ""
    away = f"{rounding}{distance:.1e} from the optimum of all data"
    if alone and unmet and spread is not None and spread > unmet:
        sentence = f"; this peer is {spread:.1e} from the mean model, which by its certificate is {away}"
    else:
        sentence = f"; by its certificate the {'mean model' if alone else 'model'} is {away}"
    if unmet and distance > unmet and not rounding and (cost := known.get("newton")):
        sentence += (
            f', and Newton\'s method would get there in {cost} exchanges more (algorithm.kind = "newton")'
        )
    return sentence


def gone(summary: Mapping[str, Any]) -> int:
    """The number of peers that are absent at the end because of the faults; peers that died by themselves do not count."""
    peers: int = summary["peers"]
    return max(0, len(summary.get("peer_status", ())) - peers - len(summary.get("lost", ())))


def missed(summary: Mapping[str, Any]) -> int:
    """The number of planned fault events that came too late, after the end of learning."""
    too_late: int = summary.get("faults", {}).get("too_late", 0)
    return too_late if summary["stopped"] != "interrupted" else 0


def _ended(summary: dict[str, Any], tolerance: float) -> tuple[int, str]:
    code, sentence = _verdict(summary, tolerance)
    if never := missed(summary):
        s, them = ("s", "them") if never > 1 else ("", "it")
        sentence += f"; {never} planned fault{s} did not happen: learning ended before {them}"
    if lost := summary.get("lost"):
        names = ", ".join(lost[:8]) + (" ..." if len(lost) > 8 else "")
        rest = "the others" if summary["peers"] > 1 else "the last one"
        died = f"{len(lost)} of {len(summary['peer_status'])} peers died during the run ({names}); {rest}: "
        return code if summary["stopped"] == "diverged" else NETWORK, died + sentence
    return code, sentence


def _verdict(summary: dict[str, Any], tolerance: float) -> tuple[int, str]:
    peers, rounds = summary["peers"], summary["rounds"]
    match summary["stopped"]:
        case "diverged" | "no optimum" as how:
            smaller = (
                f"diverged: {summary['why'] or 'the models are not finite'}. Try a smaller algorithm.step "
                f"(it was {summary['step']:.3g})"
            )
            return NOT_REACHED, smaller if how == "diverged" else summary["why"]
        case "interrupted" | "dropped" as end:
            code = DONE if end == "dropped" else NETWORK if summary.get("error") else INTERRUPTED
            how = f"interrupted after {rounds:,} rounds"
            if "learned_with" in summary:
                return code, summary["why"] or how
            return code, f"{how}; the models at that point are saved"
    met = not tolerance or summary["stopped"] in ("tolerance", "ended") or _near(summary, tolerance)
    if peers == 1:
        return _single(summary, tolerance, met)
    if not summary.get("one_model", True):
        return DONE, gossiped(summary)
    code = DONE if met and (_one(summary, tolerance) or summary["stopped"] != "tolerance") else NOT_REACHED
    return code, _held(summary, tolerance)


def _single(summary: Mapping[str, Any], tolerance: float, met: bool) -> tuple[int, str]:
    """The verdict on one model: that of the last peer left, of one of several processes, or of a single peer."""
    who, rounds, stopped = _alone(summary), f"{summary['rounds']:,} rounds", summary["stopped"]
    if not met:
        return NOT_REACHED, f"{who}; tolerance {tolerance:g} was not met in {rounds}: {_remedy(summary)}"
    if tolerance and summary.get("without") and not summary.get("without_wanted"):
        sentence, part = f"{who}; {rounds}", ": the tolerance is met on a part of the rows only"
        return NOT_REACHED, (f"{summary['why']}: {sentence}" if stopped == "ended" else sentence) + part
    if stopped == "ended":
        return DONE, f"{summary['why']}: {who}; {rounds}"
    if tolerance and stopped == "tolerance" and "learned_with" in summary:
        return DONE, f"{who}; all stopped together after {rounds}, below tolerance {tolerance:g}"
    return DONE, f"{who}; {rounds}" + (f": {summary['why']}" if summary.get("why") else "")


def _remedy(summary: Mapping[str, Any]) -> str:
    """Why a tolerance was not met, or what to do to meet it."""
    if summary["stopped"] == "rounds" and summary.get("why"):
        return f"learning stopped there: {summary['why']}"
    if (summary.get("certified") or {}).get("rounding"):
        return "set stop.tolerance higher, above rounding errors"
    return f"set stop.{'seconds' if summary['stopped'] == 'seconds' else 'rounds'} higher"


def _near(summary: Mapping[str, Any], tolerance: float) -> bool:
    """Whether the models of an exact method meet the tolerance, by agreement and by their certificate.

    One of several processes knows only how far its own model is from the mean.
    """
    known, distance = summary.get("certified") or {}, summary.get("certificate")
    one = _one(summary, tolerance) or summary["peers"] == 1
    if "learned_with" in summary:
        one = known.get("spread") is not None and known["spread"] <= tolerance
    return bool(known.get("decides") and one and distance is not None and distance <= tolerance)


def _one(summary: Mapping[str, Any], tolerance: float) -> bool:
    """Whether the peers that are left hold one model: "agreed" is never true where peers have died."""
    spread = summary.get("consensus_distance")
    left = bool(summary.get("lost")) and spread is not None and spread < (tolerance or AGREED)
    return bool(summary.get("agreed")) or left


def _alone(summary: Mapping[str, Any]) -> str:
    """The beginning of the sentence for one peer: the last one left, one of several processes, or a single one."""
    if "learned_with" in summary:
        return whose(summary["learned_with"], summary["without"])
    if gone(summary):
        return f"{_left(summary)} learned alone"
    *most, last = summary.get("neighbours") or [""]
    if not last:
        return "one peer learned"
    return f"learned with {', '.join(most)} and {last}" if most else f"learned with {last}"


def whose(learned_with: Sequence[str], without: Sequence[str]) -> str:
    """Whose rows are in the model of one peer, beside its own, and whose are not."""
    inside = f"learned with {_listed(learned_with)}" if learned_with else "learned alone"
    return f"{inside}, without {_listed(without)}" if without else inside


def _listed(names: Sequence[str]) -> str:
    """All names in a sentence; of very many, the first."""
    *most, last = names if len(names) <= NAMED else (*names[:NAMED], f"{len(names) - NAMED} more")
    return f"{', '.join(most)} and {last}" if most else last


def _held(summary: dict[str, Any], tolerance: float) -> str:
    """Whether the remaining peers hold one model, their largest difference, and why they stopped."""
    rounds, apart = f"{summary['rounds']:,} rounds", difference(summary["consensus_distance"])
    who, one = _left(summary) if gone(summary) else f"the {_left(summary)}", _one(summary, tolerance)
    held = f"{who} {'hold' if one else 'do NOT hold'} one model"
    sides: Sequence[Sequence[str]] = summary.get("sides", [])
    if len(sides) == 1 and (absent := [n for n in summary["peer_status"] if n not in sides[0]]):
        held += f", without the rows of {_listed(absent)}"
    if len(sides) > 1:
        apart = f"{_listed(sides[0])} learned apart from {'; '.join(map(_listed, sides[1:]))}; {apart}"
    if summary["stopped"] == "tolerance" and len(sides) < 2:
        if one:
            return f"{held}: {apart}; they stopped together after {rounds}"
        return f"{held}: they stopped together after {rounds}, each close to its neighbours, but {apart}"
    if not tolerance or summary["stopped"] == "tolerance" or _near(summary, tolerance):
        return f"{held} after {rounds}: {apart}"
    remedy = _remedy(summary)
    if remedy.endswith(("rounds higher", "seconds higher")):
        remedy += ", or use another algorithm or topology"
    return f"{held}: {apart}, and tolerance {tolerance:g} was not met in {rounds}. {remedy[0].upper()}{remedy[1:]}"


def difference(apart: float | None) -> str:
    """A phrase for the consensus distance; JSON has null for infinity."""
    if apart is None or math.isinf(apart):
        size = "infinite"
    elif apart < 1e-3:
        size = f"{apart:.1e} (relative)"
    else:
        size = f"{100 * apart:,.{0 if apart >= 0.1 else 1}f} %"
    return f"the largest difference from their mean is {size}"


def _left(summary: Mapping[str, Any]) -> str:
    """The peers of the sentence: "8 peers", or "7 of 8 peers are left and"."""
    peers, away = summary["peers"], gone(summary)
    return (
        f"{peers} of {peers + away} peers {'is' if peers == 1 else 'are'} left and"
        if away
        else f"{peers} peers"
    )


def gossiped(summary: dict[str, Any]) -> str:
    """The sentence for gossip learning: each peer has its own model, and the experiment asks for no more."""
    own, apart = (summary["test"] or {}).get("own", {}), difference(summary["consensus_distance"])
    sentence = (
        f"{_left(summary)} gossiped for {summary['rounds']:,} cycles, and each has its own model: {apart}"
    )
    for key, what in (("error", "error"), ("rmse", "RMSE")):
        if key in own:
            sentence += f"; test {what} {own[key]:.3f} (mean over the peers)"
    return sentence
