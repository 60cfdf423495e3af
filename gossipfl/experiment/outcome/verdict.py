"""Whether a run ended as asked, in a sentence and an exit code; must not know how it was carried out."""

from typing import Any

from gossipfl.experiment.settings.gossip import GOSSIP

DONE, NETWORK, NOT_REACHED, UNWRITTEN, INTERRUPTED = 0, 5, 6, 7, 130


def verdict(summary: dict[str, Any], tolerance: float) -> tuple[int, str]:
    """The exit code and the sentence that a run ends with."""
    code, sentence = _ended(summary, tolerance)
    if lacking := summary.get("unwritten"):
        files = f"{len(lacking['files'])} file{'s' * (len(lacking['files']) > 1)}"
        sentence += f"; but {files} of the result could not be written ({lacking['why']})"
        code = code or UNWRITTEN
    return code, sentence


def _ended(summary: dict[str, Any], tolerance: float) -> tuple[int, str]:
    code, sentence = _verdict(summary, tolerance)
    if lost := summary.get("lost"):
        names = ", ".join(lost[:8]) + (" ..." if len(lost) > 8 else "")
        died = f"{len(lost)} of {len(summary['peer_status'])} peers died on the way ({names}); of those that are left: "
        return code if summary["stopped"] in ("diverged", "interrupted") else NETWORK, died + sentence
    return code, sentence


def _verdict(summary: dict[str, Any], tolerance: float) -> tuple[int, str]:
    apart = summary["consensus_distance"]
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
        told = f"learned in one place, {rounds} rounds"
        return (DONE, told) if met else (NOT_REACHED, f"{told}: tolerance {tolerance:.0e} was not met")
    if summary.get("algorithm") == GOSSIP:
        return DONE, gossiped(summary)
    agree = "agree to " + ("no digit" if apart is None else f"{apart:.1e}")  # JSON has null for infinity
    held = (
        f"the {peers} peers hold one model"
        if summary["agreed"]
        else f"the {peers} peers do NOT hold one model"
    )
    together = f"stopped together after {rounds} rounds"
    if summary["stopped"] != "tolerance":
        told = (
            f"{held}: they {agree} after {rounds} rounds"
            if met
            else (
                f"{held}: they {agree}, but tolerance {tolerance:.0e} was not met in {rounds} rounds. "
                "Give it more stop.rounds, or another algorithm or topology"
            )
        )
    elif summary["agreed"]:
        told = f"{held}: they {agree}, and {together}"
    else:
        met, told = False, f"{held}: they {together}, each close to its neighbours, but {agree} only"
    return DONE if met else NOT_REACHED, told


def gossiped(summary: dict[str, Any]) -> str:
    """How gossip learning ended: its peers hold models of their own, near each other, and nobody asked for more."""
    apart, own = summary["consensus_distance"], (summary["test"] or {}).get("own", {})
    far = (
        "their mean is nothing"
        if apart is None
        else f"the farthest is {apart:.1e} from their mean, relative to it"
    )
    told = f"{summary['peers']} peers gossiped for {summary['rounds']} cycles, each with a model of its own: {far}"
    for key, what in (("error", "error"), ("rmse", "RMSE")):
        if key in own:
            told += f"; test {what} {own[key]:.3f}, mean over the peers"
    return told
