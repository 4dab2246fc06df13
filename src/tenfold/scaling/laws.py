"""The laws of scale: the loss in nats a token as a function of parameters N, tokens D and compute C.

Sources: Kaplan et al. 2020, "Scaling Laws for Neural Language Models", equations 1.1 to 1.5; Brown et al. 2020, "Language Models are
Few-Shot Learners", figure 3.1; Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", equation 2.

N counts weights without embeddings in Kaplan's and with them in Hoffmann's. D is in tokens. C is in PF/s-days, Kaplan's and Brown's unit:
10^15 operations a second for a day. All take numbers or arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tenfold.errors import UserError

EXPONENTS = {"alpha_N", "alpha_D", "alpha_C", "alpha", "beta", "b"}  # above 0, or the loss would rise with what it is spent on
PF_DAY = 1e15 * 86_400  # floating-point operations


def kaplan_parameters(N, N_c, alpha_N):
    """L(N) = (N_c / N)^alpha_N: a model of N parameters, given all the data that it can use. Kaplan et al., equation 1.1."""
    return (N_c / N) ** alpha_N


def kaplan_tokens(D, D_c, alpha_D):
    """L(D) = (D_c / D)^alpha_D: a model as large as D tokens can use, stopped early. Kaplan et al., equation 1.2."""
    return (D_c / D) ** alpha_D


def kaplan_compute(C, C_c, alpha_C):
    """L(C) = (C_c / C)^alpha_C: compute spent as well as it can be. Kaplan et al., equation 1.3."""
    return (C_c / C) ** alpha_C


def kaplan(N, D, N_c, D_c, alpha_N, alpha_D):
    """L(N, D) = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D. Kaplan et al., equation 1.5."""
    return ((N_c / N) ** (alpha_N / alpha_D) + D_c / D) ** alpha_D


def power(C, a, b):
    """L(C) = a C^-b. Brown et al., figure 3.1."""
    return a * C**-b


def power_offset(C, E, a, b):
    """L(C) = E + a C^-b: `power`, and a loss E that no compute takes away."""
    return E + a * C**-b


def chinchilla(N, D, E, A, B, alpha, beta):
    """L(N, D) = E + A / N^alpha + B / D^beta. Hoffmann et al., equation 2."""
    return E + A / N**alpha + B / D**beta


@dataclass(frozen=True)
class Law:
    """A law by name, with what it reads and where it was published."""

    name: str
    function: Callable
    """Of what it reads, then its constants."""
    equation: str
    source: str
    reads: str
    """Which of N, D and C, in this order."""
    constants: tuple[str, ...]
    embeddings: bool
    """Whether N counts the embeddings where the law was published."""

    def loss(self, constants, N, D, C):
        """Of N parameters and D tokens, or C floating-point operations; what the law does not read may be None."""
        given = {"N": N, "D": D, "C": None if C is None else C / PF_DAY}
        return self.function(*(given[letter] for letter in self.reads), *(constants[name] for name in self.constants))


KAPLAN, BROWN, HOFFMANN = "Kaplan et al. 2020, equation", "Brown et al. 2020, figure 3.1", "Hoffmann et al. 2022, equation 2"
LAWS = {
    law.name: law
    for law in (
        Law("kaplan-n", kaplan_parameters, "(N_c / N)^alpha_N", f"{KAPLAN} 1.1", "N", ("N_c", "alpha_N"), False),
        Law("kaplan-d", kaplan_tokens, "(D_c / D)^alpha_D", f"{KAPLAN} 1.2", "D", ("D_c", "alpha_D"), False),
        Law("kaplan-c", kaplan_compute, "(C_c / C)^alpha_C", f"{KAPLAN} 1.3", "C", ("C_c", "alpha_C"), False),
        Law(
            "kaplan-nd",
            kaplan,
            "[(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D",
            f"{KAPLAN} 1.5",
            "ND",
            ("N_c", "D_c", "alpha_N", "alpha_D"),
            False,
        ),
        Law("power", power, "a C^-b", BROWN, "C", ("a", "b"), False),
        Law("power-offset", power_offset, "E + a C^-b", f"{BROWN}, with an offset", "C", ("E", "a", "b"), False),
        Law("chinchilla", chinchilla, "E + A / N^alpha + B / D^beta", HOFFMANN, "ND", ("E", "A", "B", "alpha", "beta"), True),
    )
}

PUBLISHED: dict[str, tuple[str, dict[str, float]]] = {
    "Kaplan et al. 2020, L(N)": ("kaplan-n", {"N_c": 8.8e13, "alpha_N": 0.076}),
    "Kaplan et al. 2020, L(D)": ("kaplan-d", {"D_c": 5.4e13, "alpha_D": 0.095}),
    "Kaplan et al. 2020, L(C_min)": ("kaplan-c", {"C_c": 3.1e8, "alpha_C": 0.050}),
    "Kaplan et al. 2020, L(N, D)": ("kaplan-nd", {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}),
    "Brown et al. 2020": ("power", {"a": 2.57, "b": 0.048}),
    "Hoffmann et al. 2022": ("chinchilla", {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}),
    "Besiroglu et al. 2024": ("chinchilla", {"E": 1.82, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}),
}
"""Whose constants: (law, constants). Besiroglu et al. fitted Hoffmann's points again."""


def named_law(name: str) -> Law:
    """The law of that name. Raises UserError that lists them."""
    if name not in LAWS:
        raise UserError(f"no law is called {name!r}.\n  The laws are {', '.join(LAWS)}.")
    return LAWS[name]
