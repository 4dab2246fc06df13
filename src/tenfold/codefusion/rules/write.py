"""Rule to text, in the one form that the project writes: `parse(write(rule)) == rule`.

The form is that of the released data: texts bare where they can be, double quotes where they cannot, a comma and a space.
"""

from tenfold.codefusion.rules.parse import plain_text, plain_value
from tenfold.codefusion.rules.syntax import Argument, Boolean, Call, Column, Date, Number, Text


def write(rule: Call) -> str:
    """The rule as text."""
    arguments = [_argument(rule, argument) for argument in rule.arguments]
    column = [] if rule.column is None else [_argument(rule, rule.column)]
    return f"{rule.name}({', '.join(column + arguments)})"


def number(value: float) -> str:
    """The shortest decimals that give this float back; whole numbers without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value).replace("e", "E")


def _argument(rule: Call, argument: Argument) -> str:
    match argument:
        case Call():
            return write(argument)
        case Number():
            return number(argument.value)
        case Boolean():
            return str(argument.value).upper()
        case Date():
            return argument.value.isoformat()
        case Column():
            return f"c[{argument.index}]"
        case Text():
            plain = plain_text if rule.function.kind == "text" else plain_value
            return argument.value if plain(argument.value) else '"' + argument.value.replace('"', '""') + '"'
    return str(argument)
