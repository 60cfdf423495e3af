"""Whether a run ended as asked, in a sentence and an exit code; must not know how it was carried out."""

from collections.abc import Mapping
from typing import Any

DONE, NETWORK, NOT_REACHED, UNWRITTEN, INTERRUPTED = 0, 5, 6, 7, 130


def verdict(summary: dict[str, Any], tolerance: float) -> tuple[int, str]:
    """The exit code and the sentence that a run ends with."""
    code, sentence = _ended(summary, tolerance)
    if lacking := summary.get("unwritten"):
        files = f"{len(lacking['files'])} file{'s' * (len(lacking['files']) > 1)}"
        sentence += f"; but {files} of the result could not be written ({lacking['why']})"
        code = code or UNWRITTEN
    return code, sentence


def gone(summary: Mapping[str, Any]) -> int:
    """Peers that are not there in the end, as the faults say: not those that died by themselves."""
    peers: int = summary["peers"]
    return max(0, len(summary.get("peer_status", ())) - peers - len(summary.get("lost", ())))


def missed(summary: Mapping[str, Any]) -> int:
    """Events that the faults planned for a time when the learning was over."""
    too_late: int = summary.get("faults", {}).get("too_late", 0)
    return too_late if summary["stopped"] != "interrupted" else 0


def _ended(summary: dict[str, Any], tolerance: float) -> tuple[int, str]:
    code, sentence = _verdict(summary, tolerance)
    if never := missed(summary):
        s, them = ("s", "them") if never > 1 else ("", "it")
        sentence += f"; {never} planned fault{s} never came: the learning ended before {them}"
    if lost := summary.get("lost"):
        names = ", ".join(lost[:8]) + (" ..." if len(lost) > 8 else "")
        died = f"{len(lost)} of {len(summary['peer_status'])} peers died on the way ({names}); of those that are left: "
        return code if summary["stopped"] in ("diverged", "interrupted") else NETWORK, died + sentence
    return code, sentence


def _verdict(summary: dict[str, Any], tolerance: float) -> tuple[int, str]:
    peers, rounds = summary["peers"], summary["rounds"]
    match summary["stopped"]:
        case "diverged":
            return NOT_REACHED, (
                f"diverged: {summary['why'] or 'the models are not finite'}. Try a smaller algorithm.step "
                f"(it was {summary['step']:.3g})"
            )
        case "interrupted":
            code = NETWORK if "error" in summary else INTERRUPTED
            return code, f"interrupted after {rounds} rounds; the models of that moment are saved"
    met = not tolerance or summary["stopped"] == "tolerance"
    if peers == 1:
        told = f"{_left(summary)} learned alone" if gone(summary) else "learned in one place"
        told += f", {rounds} rounds"
        return (DONE, told) if met else (NOT_REACHED, f"{told}: tolerance {tolerance:.0e} was not met")
    if not summary.get("one_model", True):
        return DONE, gossiped(summary)
    code = DONE if met and (summary["agreed"] or summary["stopped"] != "tolerance") else NOT_REACHED
    return code, _held(summary, tolerance)


def _held(summary: dict[str, Any], tolerance: float) -> str:
    """Whether those that are left hold one model, to how many digits, and how they came to stop."""
    apart, rounds = summary["consensus_distance"], summary["rounds"]
    agree = "agree to " + ("no digit" if apart is None else f"{apart:.1e}")  # JSON has null for infinity
    who = _left(summary) if gone(summary) else f"the {_left(summary)}"
    held = f"{who} {'hold' if summary['agreed'] else 'do NOT hold'} one model: they"
    together = f"stopped together after {rounds} rounds"
    if summary["stopped"] == "tolerance":
        close = f"{together}, each close to its neighbours, but {agree} only"
        return f"{held} {agree}, and {together}" if summary["agreed"] else f"{held} {close}"
    if not tolerance:
        return f"{held} {agree} after {rounds} rounds"
    return (
        f"{held} {agree}, but tolerance {tolerance:.0e} was not met in {rounds} rounds. "
        "Give it more stop.rounds, or another algorithm or topology"
    )


def _left(summary: Mapping[str, Any]) -> str:
    """Of whom the sentence tells: "8 peers", or "7 of 8 peers are left and"."""
    peers, away = summary["peers"], gone(summary)
    return (
        f"{peers} of {peers + away} peers {'is' if peers == 1 else 'are'} left and"
        if away
        else f"{peers} peers"
    )


def gossiped(summary: dict[str, Any]) -> str:
    """How gossip learning ended: its peers hold models of their own, near each other, and nobody asked for more."""
    apart, own = summary["consensus_distance"], (summary["test"] or {}).get("own", {})
    far = (
        "their mean is nothing"
        if apart is None
        else f"the farthest is {apart:.1e} from their mean, relative to it"
    )
    told = f"{_left(summary)} gossiped for {summary['rounds']} cycles, each with a model of its own: {far}"
    for key, what in (("error", "error"), ("rmse", "RMSE")):
        if key in own:
            told += f"; test {what} {own[key]:.3f}, mean over the peers"
    return told
