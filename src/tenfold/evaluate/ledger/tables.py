"""Small facts that prompts are made of, written down here: capitals, opposites, a dictionary of forty words, kinds of things."""

CAPITALS = dict(
    pair.split(":")
    for pair in """France:Paris Germany:Berlin Italy:Rome Spain:Madrid Portugal:Lisbon Greece:Athens Austria:Vienna Poland:Warsaw
Hungary:Budapest Ireland:Dublin Sweden:Stockholm Norway:Oslo Finland:Helsinki Denmark:Copenhagen Belgium:Brussels Russia:Moscow
Turkey:Ankara Egypt:Cairo Kenya:Nairobi Japan:Tokyo China:Beijing Thailand:Bangkok Iran:Tehran Iraq:Baghdad Cuba:Havana Peru:Lima
Chile:Santiago Canada:Ottawa Romania:Bucharest Bulgaria:Sofia Croatia:Zagreb Serbia:Belgrade Ukraine:Kyiv Vietnam:Hanoi Nepal:Kathmandu
Afghanistan:Kabul Lebanon:Beirut Syria:Damascus Jordan:Amman Morocco:Rabat Algeria:Algiers Tunisia:Tunis Ghana:Accra Senegal:Dakar
Uganda:Kampala Ecuador:Quito Venezuela:Caracas Uruguay:Montevideo Philippines:Manila Australia:Canberra""".split()
)
OPPOSITES = dict(
    pair.split(":")
    for pair in """hot:cold big:small up:down left:right day:night open:closed full:empty old:young fast:slow high:low hard:soft
wet:dry good:bad light:dark rich:poor early:late strong:weak happy:sad near:far inside:outside true:false win:lose buy:sell
push:pull first:last love:hate clean:dirty thick:thin wide:narrow deep:shallow before:after above:below loud:quiet heavy:light
sweet:bitter life:death war:peace question:answer friend:enemy sharp:blunt rough:smooth""".split()
)
FRENCH = dict(
    pair.split(":")
    for pair in """house:maison dog:chien cat:chat water:eau bread:pain milk:lait book:livre table:table sun:soleil moon:lune
tree:arbre flower:fleur red:rouge blue:bleu green:vert black:noir white:blanc one:un two:deux three:trois four:quatre five:cinq
day:jour night:nuit man:homme woman:femme child:enfant mother:mère father:père brother:frère sister:sœur school:école city:ville
street:rue door:porte window:fenêtre apple:pomme cheese:fromage fish:poisson horse:cheval bird:oiseau hand:main head:tête
friend:ami winter:hiver summer:été""".split()
)
ANIMALS = """wolf tiger lion rabbit horse cow pig sheep goat deer bear fox mouse rat duck goose eagle shark whale snake frog turtle
monkey elephant camel zebra squirrel""".split()
TOOLS = """hammer saw drill wrench shovel knife axe ladder rope nail screw brush pliers chisel rake file clamp hose lamp bucket
broom needle scissors pump lever wheel""".split()
NAMES = """Ada Ben Carla David Emma Frank Grace Henry Irene Jack Kate Leo Maria Nick Olga Paul Rosa Sam Tina Victor""".split()
