"""French."""

from votecast.data.simulation.languages.phrases import Phrases, lines, topics, words

FRENCH = Phrases(
    code="fr",
    stop=". ",
    requests={
        "explain": lines("""
Pourquoi les {x} changent-ils les {y} ?
Explique-moi le lien entre les {x} et les {y}.
Que doit savoir un débutant sur les {x} et les {y} ?
Écris un court texte sur les {x}, les {y} et les {z}.
Peux-tu comparer les {x} et les {y} et parler aussi des {z} ?
Quel est le meilleur choix, les {x} ou les {y}, quand les {z} comptent ?"""),
        "list": lines("""
Donne une liste de {n} faits sur les {x} et les {y}.
Fais une liste de raisons : pourquoi les {x} ont-ils besoin des {y} ?
Prépare une liste de contrôle pour les {x}, les {y} et les {z}."""),
        "code": lines("""
Écris une fonction qui compte les {x} et les {y}.
Montre-moi du code qui trie les {x} selon les {y}."""),
        "table": lines("""
Fais un tableau des {x} et des {y}.
Compare les {x}, les {y} et les {z} dans un tableau."""),
        "sum": lines("""
J'ai {n} {x} et {m} {y}. Combien cela fait-il ensemble, et pourquoi est-ce important ?
Combien font {n} + {m} ? Explique-le avec des {x} et des {y}."""),
    },
    contexts=lines("""
Je m'appelle {name} et j'habite à {place}.
Je travaille avec les {x} depuis {n} ans.
Mon professeur {name} dit que les {x} sont surestimés.
C'est pour un exposé à {place} devant {n} personnes.
Attention, mon budget est de {n} euros.
Je l'ai lu à la page {n} d'une revue « sérieuse »."""),
    openers=lines("""
En pratique, |
En général, |
Par exemple, |
Avant tout, |
D'un autre côté, |
Avec le temps, |
On sait bien que |
Les études montrent que |"""),
    clauses=lines("""
les %s dépendent aussi des %s
les %s rendent possibles les %s
les %s ont une forte influence sur les %s
les %s remplacent souvent les %s
les %s protègent les %s
les %s coûtent plus cher que les %s
les %s et les %s suivent le même modèle
les %s sont étroitement liés avec les %s
sans les %s nous n'aurions pas les %s
les %s changent notre regard sur les %s"""),
    tails=lines("""
|
 dans la vie quotidienne|
 pour plusieurs raisons|
 à long terme|
, même si on le remarque rarement|
, comme chacun peut le vérifier chez soi|
 dans des conditions normales|
, ce qui permet de gagner du temps et de l'argent|"""),
    vague=lines("""
Il y a beaucoup de choses à prendre en compte ici.
Cela dépend vraiment de nombreux facteurs différents.
C'est une question très intéressante qui a plusieurs aspects.
Certains pensent une chose et d'autres pensent le contraire.
Chacun doit finalement décider par lui-même."""),
    refusals=lines("""
Je suis désolé, mais je ne peux pas vous aider avec cette demande.
En tant que modèle de langage, je ne peux pas répondre à cela.
Malheureusement, je ne peux pas répondre à cette question.
Désolé, je préfère ne pas parler de ce sujet."""),
    closings=lines("""
J'espère que cela vous aide !
N'hésitez pas à poser d'autres questions !"""),
    headings=lines("""
Vue d'ensemble
Contexte
Points importants
Détails
Résumé"""),
    followups=lines("""
Merci, c'est utile. |
Je n'en suis pas sûr. |
D'accord, question suivante. |
Cela me semble faux. |"""),
    names=words("""
Amélie Bruno Camille Denis Élodie François Gaëlle Hugo Inès Jules Karine Léa Mathieu Nadège Olivier
Pauline Rémi Sophie"""),
    places=words("""
Angers Bordeaux Brest Dijon Genève Grenoble Lille Lyon Marseille Montpellier Nantes Nice Paris
Rennes Strasbourg Toulouse"""),
    topics=topics("""
plats, piments, fours, bouillons, fromages, oignons, repas, desserts
volcans, rochers, minéraux, cristaux, séismes, sommets, cratères, glaciers
programmes, serveurs, fichiers, réseaux, mots de passe, claviers, processeurs, algorithmes
jardins, rosiers, semis, arbres, engrais, grillages, outils, légumes
chants, violons, refrains, concerts, rythmes, pianos, orchestres, disques
prix, marchés, impôts, contrats, crédits, ateliers, budgets, salaires
océans, courants, navires, ports, archipels, poissons, rivages, récifs
orages, nuages, hivers, climats, brouillards, vents, printemps, ouragans
soleils, astres, lanceurs, télescopes, trous noirs, satellites, anneaux, météores
vaccins, remèdes, hôpitaux, symptômes, médicaments, os, muscles, régimes
trains, billets, hôtels, bagages, plans, musées, aéroports, ponts
empires, décrets, châteaux, traités, soulèvements, manuscrits, monuments, scrutins"""),
)
