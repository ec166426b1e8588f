"""German."""

from votecast.data.simulation.languages.phrases import Phrases, lines, topics, words

GERMAN = Phrases(
    code="de",
    stop=". ",
    requests={
        "explain": lines("""
Warum verändern {x} die {y}?
Erkläre mir bitte, wie {x} und {y} zusammenhängen.
Was sollte man als Anfänger über {x} und {y} wissen?
Schreibe einen kurzen Aufsatz über {x}, {y} und {z}.
Kannst du {x} und {y} vergleichen und auch {z} erwähnen?
Was ist die bessere Wahl, {x} oder {y}, wenn {z} wichtig sind?"""),
        "list": lines("""
Nenne {n} Tatsachen über {x} und {y} als Liste.
Gib mir eine Stichpunktliste: Warum brauchen {x} auch {y}?
Erstelle eine Checkliste für {x}, {y} und {z}."""),
        "code": lines("""
Schreibe eine Funktion, die {x} und {y} zählt.
Zeige mir Code, der {x} nach {y} sortiert."""),
        "table": lines("""
Erstelle eine Tabelle über {x} und {y}.
Vergleiche {x}, {y} und {z} in einer Tabelle."""),
        "sum": lines("""
Ich habe {n} {x} und {m} {y}. Wie viele sind das zusammen, und warum sind sie wichtig?
Was ist {n} + {m}? Erkläre es mit {x} und {y}."""),
    },
    contexts=lines("""
Ich heiße {name} und wohne in {place}.
Ich arbeite seit {n} Jahren mit {x}.
Mein Lehrer {name} meint, {x} werden überschätzt.
Es ist für einen Vortrag in {place} vor {n} Gästen.
Bitte beachte, dass ich nur {n} Euro habe.
Ich habe das auf Seite {n} einer „seriösen“ Zeitschrift gelesen."""),
    openers=lines("""
Kurz gesagt: |
Wichtig ist: |
Zum Beispiel: |
Man weiß heute: |
Die Forschung zeigt: |
Genauer gesagt: |
Es gilt außerdem: |
Viele Fachleute sagen: |"""),
    clauses=lines("""
%s beeinflussen %s
%s ermöglichen erst %s
%s ersetzen oft auch %s
%s brauchen vor allem %s
%s schützen die %s
%s kosten mehr als %s
%s und %s folgen demselben Muster
%s sind wichtig für %s
ohne %s gäbe es keine %s
%s verändern unseren Blick auf %s"""),
    tails=lines("""
|
 im täglichen Leben|
 aus mehreren Gründen|
 auf lange Sicht|
, auch wenn man es selten bemerkt|
, wie jeder zu Hause prüfen kann|
 unter normalen Bedingungen|
, und das spart Zeit und Geld|"""),
    vague=lines("""
Hier gibt es vieles zu bedenken.
Das hängt wirklich von sehr verschiedenen Umständen ab.
Das ist eine sehr interessante Frage mit vielen Seiten.
Manche denken so und andere denken anders.
Das muss am Ende jeder für sich selbst entscheiden."""),
    refusals=lines("""
Es tut mir leid, aber dabei kann ich nicht helfen.
Als KI-Sprachmodell kann ich darauf leider keine Antwort geben.
Leider kann ich diese Frage nicht beantworten.
Entschuldigung, zu diesem Thema möchte ich nichts sagen."""),
    closings=lines("""
Ich hoffe, das hilft dir weiter!
Frag gerne nach, wenn noch etwas unklar ist!"""),
    headings=lines("""
Überblick
Hintergrund
Wichtige Punkte
Einzelheiten
Zusammenfassung"""),
    followups=lines("""
Danke, das ist nützlich. |
Da bin ich mir nicht sicher. |
Gut, nächste Frage. |
Das sieht für mich falsch aus. |"""),
    names=words("""
Anna Bernd Claudia Dieter Elke Friedrich Greta Hans Ingrid Jürgen Katrin Lukas Monika Nils Petra
Ralf Sabine Thomas"""),
    places=words("""
Berlin Bremen Dresden Essen Frankfurt Hamburg Köln Leipzig Lübeck Mainz München Nürnberg Potsdam
Stuttgart Ulm Zürich"""),
    topics=topics("""
Rezepte, Gewürze, Öfen, Soßen, Nudeln, Zwiebeln, Küchen, Aromen
Vulkane, Gesteine, Mineralien, Kristalle, Ausbrüche, Berge, Krater, Gletscher
Programme, Server, Datenbanken, Netzwerke, Passwörter, Tastaturen, Prozessoren, Algorithmen
Gärten, Rosen, Samen, Bäume, Dünger, Zäune, Werkzeuge, Gemüsebeete
Lieder, Gitarren, Melodien, Konzerte, Rhythmen, Klaviere, Chöre, Schallplatten
Preise, Märkte, Steuern, Verträge, Kredite, Fabriken, Haushalte, Löhne
Ozeane, Wellen, Schiffe, Häfen, Inseln, Strömungen, Strände, Riffe
Stürme, Wolken, Winter, Temperaturen, Regenfälle, Winde, Jahreszeiten, Vorhersagen
Planeten, Sterne, Raketen, Teleskope, Galaxien, Satelliten, Umlaufbahnen, Kometen
Impfstoffe, Vitamine, Krankenhäuser, Symptome, Medikamente, Knochen, Muskeln, Diäten
Züge, Fahrkarten, Hotels, Koffer, Landkarten, Museen, Flughäfen, Brücken
Reiche, Gesetze, Burgen, Abkommen, Revolutionen, Archive, Denkmäler, Wahlen"""),
)
