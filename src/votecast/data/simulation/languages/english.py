"""English."""

from votecast.data.simulation.languages.phrases import Phrases, lines, topics, words

ENGLISH = Phrases(
    code="en",
    stop=". ",
    requests={
        "explain": lines("""
Why do {x} change {y}?
Explain to me how {x} and {y} belong together.
What should a beginner know about {x} and {y}?
How did {x} become more important than {y}?
Write a short essay about {x}, {y} and {z}.
Can you compare {x} with {y} and mention {z}?
I want to understand {x}. What do they have to do with {y}?
Tell me something surprising about {x} and {y}.
Which is the better choice, {x} or {y}, when {z} matter?"""),
        "list": lines("""
List {n} facts about {x} and {y}.
Give me a bullet list of reasons why {x} need {y}.
Name {n} steps to improve {x} with {y}, as a numbered list.
Make a checklist for {x}, {y} and {z}."""),
        "code": lines("""
Write a function that counts {x} and {y}.
Show me code that sorts {x} by {y}.
How do I parse a file of {x} with {y} in a script?"""),
        "table": lines("""
Make a table of {x} and {y}.
Compare {x}, {y} and {z} in a table."""),
        "sum": lines("""
I have {n} {x} and {m} {y}. How many are that together, and why do they matter?
What is {n} + {m}? Use {x} and {y} to explain it.
A shop sells {n} {x} and then {m} {y}. Add them up and tell me about both."""),
    },
    contexts=lines("""
My name is {name} and I live in {place}.
I have been working with {x} for {n} years.
My teacher {name} said that {x} are overrated.
It is for a talk in {place} with {n} guests.
Please keep in mind that my budget is {n} dollars.
My friend {name} from {place} disagrees with me about {x}.
I read about it on page {n} of a "serious" magazine.
The deadline is in {n} days, so {name} is nervous."""),
    openers=lines("""
In practice, |
As a rule, |
For example, |
Above all, |
On the other hand, |
Over time, |
It is well known that |
Most experts agree that |
In many cases |
Studies show that |
To be precise, |
More importantly, |"""),
    clauses=lines("""
%s depend on %s
%s make %s possible
%s have a strong influence on %s
%s were developed together with %s
%s can be understood through %s
%s often replace %s
%s work best when there are %s
%s are closely connected with %s
%s protect %s
%s cost more than %s
%s and %s follow the same pattern
%s change the way people think about %s
without %s there would be no %s
the quality of %s is decided by %s"""),
    tails=lines("""
|
 in everyday life|
 for several reasons|
 in the long run|
, even if this is rarely noticed|
, as anyone can check at home|
 under normal conditions|
 more than anything else|
, which saves both time and money|
 in small and large projects|"""),
    vague=lines("""
There are many things to consider here.
It really depends on a lot of different factors.
This is a very interesting question with many sides.
Some people think one way and others think another way.
Everyone has to decide that for themselves.
There is much more that could be said about this."""),
    refusals=lines("""
I'm sorry, but I can't help with that request.
As an AI language model, I cannot provide an answer to this.
I apologize, but I am not able to assist with this topic.
I'm sorry, I don't feel comfortable answering that.
Unfortunately, I cannot answer this question."""),
    closings=lines("""
I hope this helps!
Let me know if you have any other questions!
Feel free to ask for more details."""),
    headings=lines("""
Overview
Background
Key points
Details
What to do next
Summary"""),
    followups=lines("""
Thank you, that is useful. |
I am not sure about that. |
Okay, next question. |
Interesting. |
That does not look right to me. |"""),
    names=words("""
Alice Brian Carol Daniel Emma Frank Grace Henry Isabel Jack Karen Liam Megan Noah Olivia Peter Quinn
Rachel Simon Tessa"""),
    places=words("""
Boston Chicago Denver Dublin Glasgow Leeds Liverpool London Melbourne Oxford Perth Portland Seattle
Sydney Toronto York"""),
    topics=topics("""
recipes, spices, ovens, sauces, noodles, onions, kitchens, flavours
volcanoes, rocks, minerals, crystals, eruptions, mountains, craters, glaciers
programs, servers, databases, networks, passwords, keyboards, processors, algorithms
gardens, roses, seeds, trees, fertilisers, fences, tools, vegetables
songs, guitars, melodies, concerts, rhythms, pianos, choirs, records
prices, markets, taxes, contracts, loans, factories, budgets, wages
oceans, waves, ships, harbours, islands, currents, beaches, reefs
storms, clouds, winters, temperatures, rainfalls, winds, seasons, forecasts
planets, stars, rockets, telescopes, galaxies, satellites, orbits, comets
vaccines, vitamins, hospitals, symptoms, medicines, bones, muscles, diets
trains, tickets, hotels, suitcases, maps, museums, airports, bridges
empires, laws, castles, treaties, revolutions, archives, monuments, elections"""),
)
