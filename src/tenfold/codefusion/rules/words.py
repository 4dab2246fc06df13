"""The words that made-up rules, tables and descriptions are drawn from."""

VERBS = (
    "Highlight",
    "Color",
    "Format",
    "Style",
    "Select",
    "Mark",
    "Shade",
    "highlight",
    "color",
    "format",
    "I want to color",
    "I would like to highlight",
    "Apply a format to",
    "Apply conditional formatting to",
    "Change the color of",
    "Change the background color of",
    "Turn yellow",
    "Fill with red",
    "Find and mark",
    "Please highlight",
)
THINGS = ("cells", "all cells", "the cells", "values", "all values", "any cells", "every cell", "only the cells")
WHICH = ("that are", "which are", "that have a value", "with a value", "whose value is")
NUMBER_COLUMNS = tuple(
    (
        "Sales|Price|Quantity|Score|Age|Total|Hours|Cost|Profit|Attendance|Rate|Stock|Grade|Weight|Fee|Amount|Revenue|Units|Discount|Tax|"
        "Salary|Balance|Points|Marks|Height|Temperature|Distance|Minutes|Orders|Visits|Budget|Expenses|Rank|Year|Income|Population|Views|"
        "Unit Price|Total Sales|Order Total|Test Score|Monthly Rent|Number of Visits|Paid Amount|Exam Marks"
    ).split("|")
)
TEXT_COLUMNS = tuple(
    (
        "Status|City|Name|Product|Category|Region|Type|Owner|Team|Result|Department|Country|Gender|Customer|Student|Item|Color|Brand|Title|"
        "Email|Supplier|Position|State|Store|Manager|Customer Name|Product Name|First Name|Job Title|Order Status|Sales Rep|Sub-Category"
    ).split("|")
)
DATE_COLUMNS = ("Date", "Due Date", "Order Date", "Start", "Deadline", "Created")
TEXTS = tuple(
    (
        "Complete|In Progress|On Hold|Open|Closed|Yes|No|Pass|Fail|N/A|High|Low|Medium|Active|Inactive|Pending|Approved|Rejected|Done|New|"
        "Overdue|Paid|Unpaid|Late|Urgent|Draft|Final|Male|Female|Total|Paris|London|New York|Tokyo|Berlin|Tel Aviv|Mumbai|Madrid|Toronto|"
        "Oslo|Lima|Cairo|Rome|Boston|Dallas|Smith|Jones|Garcia|Lee|Chen|Khan|Brown|Davis|Wilson|Martin|North|South|East|West|Central|Sunday|"
        "Monday|Friday|January|March|Lunch|Night|Steel|Wood|Dairy|Grain|Produce|Books|Movies|Form L|A|B|F|X|Y|h|TBD|SC|MG|EBV|+|-|*|red|"
        "green|error|ID 12|Level 2|Plan-G|low qty"
    ).split("|")
)
COMPARED = {
    "Equals": ("equal to {0}", "exactly {0}", "the same as {0}"),
    "NotEquals": ("not equal to {0}", "different from {0}", "other than {0}"),
    "GreaterThan": ("greater than {0}", "above {0}", "more than {0}", "higher than {0}", "over {0}"),
    "GreaterThanEqual": ("greater than or equal to {0}", "at least {0}", "{0} or more", "not less than {0}"),
    "LessThan": ("less than {0}", "below {0}", "lower than {0}", "smaller than {0}", "under {0}"),
    "LessThanEqual": ("less than or equal to {0}", "at most {0}", "{0} or less", "not more than {0}"),
    "Between": ("between {0} and {1}", "from {0} to {1}", "in the range {0} to {1}"),
    "NotBetween": ("not between {0} and {1}", "outside the range {0} to {1}"),
}
STATED = {
    "TextEquals": (
        "that are {0}",
        "which are {0}",
        "that have value equal to {0}",
        "equal to the text {0}",
        "with the value {0}",
        "where the value is {0}",
    ),
    "TextContains": (
        "that contain {0}",
        "which have {0} in them",
        "that have {0} in their value",
        "with {0} in the text",
        "containing {0}",
    ),
    "TextStartsWith": ("that start with {0}", "beginning with {0}", "whose text begins with {0}"),
    "TextEndsWith": ("that end with {0}", "ending in {0}", "whose text ends with {0}"),
    "Blanks": ("that are blank", "that are empty", "which have no value", "with nothing in them"),
    "Errors": ("that have errors", "with formulas that return errors", "which show an error"),
    "Duplicate": ("that are duplicates", "which have repeated values", "that occur more than once", "with duplicate values"),
    "Unique": ("that are unique", "which occur only once", "with no duplicate"),
    "Top": ("in the top {0}", "that are the {0} highest", "with the {0} largest values"),
    "Bottom": ("in the bottom {0}", "that are the {0} lowest", "with the {0} smallest values"),
    "TopPercent": ("in the top {0}%", "among the highest {0} percent"),
    "BottomPercent": ("in the bottom {0}%", "among the lowest {0} percent"),
    "AboveAverage": ("above average", "that are above the average", "higher than the mean"),
    "BelowAverage": ("below average", "that are below the average", "lower than the mean"),
    "Yesterday": ("dated yesterday", "from yesterday"),
    "Today": ("dated today", "with today's date"),
    "Tomorrow": ("dated tomorrow", "due tomorrow"),
    "Last7Days": ("in the last 7 days", "from the past seven days"),
    "LastWeek": ("in the last week", "from last week"),
    "ThisWeek": ("in this week", "dated this week"),
    "NextWeek": ("in the next week", "due next week"),
    "LastMonth": ("in the last month", "from last month"),
    "ThisMonth": ("in this month", "dated this month"),
    "NextMonth": ("in the next month", "due next month"),
}
NEGATED = {
    "TextEquals": ("that are not {0}", "which are not {0}", "with a value other than {0}"),
    "TextContains": ("that do not contain {0}", "that do not have {0} in their value", "without {0} in the text"),
    "TextStartsWith": ("that do not start with {0}", "whose text does not begin with {0}"),
    "TextEndsWith": ("that do not end with {0}", "whose text does not end in {0}"),
    "Blanks": ("that are not blank", "that are not empty", "which have a value"),
    "Errors": ("that have no errors", "without errors"),
}
BEFORE = {
    "Duplicate": ("duplicate {of}", "repeated {of}", "all duplicate {of}", "the duplicates among {of}"),
    "Unique": ("unique {of}", "{of} that occur once"),
    "Blanks": ("blank {of}", "empty {of}", "missing {of}"),
    "Errors": ("errors in {of}", "{of} with errors"),
    "Top": ("the top {0} {of}", "the {0} highest {of}", "the highest {0} {of}", "the {0} largest {of}", "top {0} of {of}"),
    "Bottom": ("the bottom {0} {of}", "the {0} lowest {of}", "the lowest {0} {of}", "the {0} smallest {of}", "bottom {0} of {of}"),
    "TopPercent": ("the top {0}% of {of}", "top {0}% {of}", "the highest {0} percent of {of}"),
    "BottomPercent": ("the bottom {0}% of {of}", "bottom {0}% {of}", "the lowest {0} percent of {of}"),
    "AboveAverage": ("above average {of}", "{of} above the average", "{of} higher than average"),
    "BelowAverage": ("below average {of}", "{of} below the average", "{of} lower than average"),
}
"""What is said before the things, or with them: "the 3 highest prices"."""
BEFORE_FIRST = {
    "Top": ("the highest {of}", "the maximum {of}", "the largest of {of}", "the best {of}"),
    "Bottom": ("the lowest {of}", "the minimum {of}", "the smallest of {of}", "the worst {of}"),
}
IF = ("if", "when", "where", "whose", "with")
"""Between the cells and what their column is: "cells where price is above 3"."""
FIRST = {
    "Top": ("with the highest value", "with the maximum value", "that are the largest", "in the top 1"),
    "Bottom": ("with the lowest value", "with the minimum value", "that are the smallest", "in the bottom 1"),
}
"""What Top(1) and Bottom(1) are called."""
DRAWN = {
    "ColorScale": (
        "Apply a color scale",
        "Apply color scales",
        "Add gradient color",
        "Use a 3 color scale",
        "Apply a color gradient based on value",
    ),
    "DataBar": ("Add data bars", "Apply data bars", "Add horizontal bars", "Insert data bars", "Show values as bars"),
    "IconSet": ("Add icons", "Insert an icon set", "Apply icon sets", "Use 3 arrows", "Insert icons to rate values"),
}
