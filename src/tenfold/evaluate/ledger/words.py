"""Common words for made prompts, so that none of them needs a download. Written down here; of one token each in most tokenizers."""

SHORT = """apple arm bag ball bank bear bell bird boat bone book bowl box boy brick bus cake camp car card cat chair clock cloud coat
coin corn cow cup desk dog door dress duck egg eye farm field film fire fish flag floor foot fork fox game gate gift girl glass gold
grass hall hand hat hill home horse house ice ink iron island jar key king kite knife lake lamp leaf leg lion lock map milk mind moon
mouse mouth nail name nest net night nose oil page paint paper park path pen pig pipe plane plate pond pool rain ring river road rock
roof room rope rose salt sand school sea seed sheep ship shirt shoe shop silk sky snow soap song stair star stone storm street sugar
sun table tail tea tent tiger tower town toy train tree truck wall watch water wheel wind window wine wing wolf wood wool yard
""".split()
"""Nouns of 3 to 6 letters."""

LONG = """ability account address advance afternoon against airport already although amount ancient animal another answer anybody
appear approach article attack attempt attention audience author autumn balance basket battle beautiful because become before begin
behind believe better between beyond bicycle blanket borrow bottle bottom branch breakfast bridge bright brother budget building
business butter butterfly button camera candle capital captain careful carpet castle center central century certain chance change
channel chapter character charge chicken children chocolate choice church circle citizen climate clothes coffee college column
comfort common company compare complete computer condition connect consider contain content continue control corner correct cotton
country couple courage course cousin create culture current curtain custom customer damage danger daughter decade decide degree deliver
demand depend describe desert design detail develop different difficult dinner direct discover discuss distance divide doctor double
dream driver during early earth easily effect effort either electric element empire employ empty energy engine enough entire entrance
escape evening example except exchange excited exercise expect explain express factor factory family famous farmer father favorite
feature feeling fellow figure finger finish flight flower follow foreign forest forget former fortune forward freedom friend future
garden gather general gentle glance golden government grocery ground growth guitar hammer handle happen happy harbor health heaven
helpful history holiday honest hospital however hundred husband imagine important improve include increase industry insect instead
interest journey kitchen knowledge ladder language laughter lawyer leader leather length lesson letter library listen little machine
manage manner market married master matter meaning measure medicine member memory mention message method middle minute mirror modern
moment money monster morning mother mountain movement museum music mystery narrow nation nature nearly neighbor nothing notice number
object observe office officer operation orange orchestra ordinary outside package palace parent partner passage patient pattern
payment people perfect perhaps period person picture planet plastic pleasure pocket poetry police popular position possible potato
powder power practice prepare present pressure pretty prevent princess prison problem process produce program promise property protect
public purpose quality quarter question quickly rabbit railway rather reality reason receive recent record reduce region regular
remain remember remove repeat report request require rescue result return river sample science season second secret section senior
sentence serious service seventh several shadow should shoulder silence silver similar simple single sister society soldier somebody
southern special spirit spring square station stomach straight strange stream strength strong student subject succeed success sudden
summer support surface surprise system teacher theater thousand through thunder ticket together tomorrow tongue travel treasure trouble
umbrella uncle under university valley vegetable version victory village visitor volume weather wedding weekend welcome western whether
window winter without wonder wooden worker writing yellow yesterday young
""".split()
"""Words for scrambling; `made.common_words` takes those of 6 to 15 letters."""
