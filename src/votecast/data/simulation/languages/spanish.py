"""Spanish."""

from votecast.data.simulation.languages.phrases import Phrases, lines, topics, words

SPANISH = Phrases(
    code="es",
    stop=". ",
    requests={
        "explain": lines("""
¿Por qué los {x} cambian los {y}?
Explícame qué tienen que ver los {x} con los {y}.
¿Qué debería saber un principiante sobre los {x} y los {y}?
Escribe un texto breve sobre los {x}, los {y} y los {z}.
¿Puedes comparar los {x} con los {y} y hablar también de los {z}?
¿Cuál es la mejor opción, los {x} o los {y}, cuando importan los {z}?"""),
        "list": lines("""
Haz una lista de {n} datos sobre los {x} y los {y}.
Dame una lista de razones: ¿por qué los {x} necesitan los {y}?
Prepara una lista de control para los {x}, los {y} y los {z}."""),
        "code": lines("""
Escribe una función que cuente los {x} y los {y}.
Muéstrame código que ordene los {x} según los {y}."""),
        "table": lines("""
Haz una tabla de los {x} y los {y}.
Compara los {x}, los {y} y los {z} en una tabla."""),
        "sum": lines("""
Tengo {n} {x} y {m} {y}. ¿Cuántos son en total y por qué son importantes?
¿Cuánto es {n} + {m}? Explícalo con los {x} y los {y}."""),
    },
    contexts=lines("""
Me llamo {name} y vivo en {place}.
Trabajo con los {x} desde hace {n} años.
Mi profesor {name} dice que los {x} están sobrevalorados.
Es para una charla en {place} con {n} invitados.
Ten en cuenta que mi presupuesto es de {n} euros.
Lo leí en la página {n} de una revista "seria"."""),
    openers=lines("""
En la práctica, |
Por lo general, |
Por ejemplo, |
Ante todo, |
Por otro lado, |
Con el tiempo, |
Es bien sabido que |
Los estudios muestran que |"""),
    clauses=lines("""
los %s dependen de los %s
los %s hacen posibles los %s
los %s influyen mucho en los %s
los %s reemplazan a menudo los %s
los %s protegen los %s
los %s cuestan más que los %s
los %s y los %s siguen el mismo patrón
los %s están muy relacionados con los %s
sin los %s no existirían los %s
los %s cambian nuestra manera de ver los %s"""),
    tails=lines("""
|
 en la vida cotidiana|
 por varias razones|
 a largo plazo|
, aunque pocas veces se note|
, como cualquiera puede comprobar en casa|
 en condiciones normales|
, lo que ahorra tiempo y dinero|"""),
    vague=lines("""
Aquí hay muchas cosas que tener en cuenta.
Eso depende realmente de muchos factores diferentes.
Es una pregunta muy interesante que tiene muchos lados.
Algunas personas piensan una cosa y otras piensan otra.
Al final cada uno tiene que decidirlo por sí mismo."""),
    refusals=lines("""
Lo siento, pero no puedo ayudarte con esa petición.
Como modelo de lenguaje, no puedo dar una respuesta a esto.
Lamentablemente, no puedo responder a esta pregunta.
Lo siento, prefiero no hablar de este tema."""),
    closings=lines("""
¡Espero que esto te ayude!
¡No dudes en preguntar si tienes más dudas!"""),
    headings=lines("""
Resumen general
Contexto
Puntos importantes
Detalles
Conclusión"""),
    followups=lines("""
Gracias, eso es útil. |
No estoy seguro de eso. |
Bien, siguiente pregunta. |
Eso me parece incorrecto. |"""),
    names=words("""
Alejandro Beatriz Carlos Dolores Esteban Fernanda Gonzalo Inés Javier Lucía Manuel Nuria Óscar Pilar
Raúl Sofía Tomás Ximena"""),
    places=words("""
Barcelona Bilbao Bogotá Cádiz Córdoba Granada Lima Madrid Málaga Montevideo Murcia Quito Sevilla
Toledo Valencia Zaragoza"""),
    topics=topics("""
platos, pimientos, hornos, caldos, fideos, ajos, guisos, sabores
volcanes, minerales, cristales, terremotos, montes, cráteres, glaciares, fósiles
programas, servidores, archivos, enlaces, códigos, teclados, procesadores, algoritmos
jardines, rosales, árboles, abonos, muros, rastrillos, frutos, huertos
cantos, violines, estribillos, conciertos, ritmos, pianos, coros, discos
precios, mercados, impuestos, contratos, préstamos, talleres, presupuestos, salarios
océanos, mares, barcos, puertos, archipiélagos, vientos marinos, acantilados, arrecifes
truenos, nublados, inviernos, climas, aguaceros, huracanes, veranos, pronósticos
planetas, astros, cohetes, telescopios, agujeros negros, satélites, cometas, meteoros
tratamientos, remedios, hospitales, síntomas, medicamentos, huesos, músculos, nutrientes
trenes, billetes, hoteles, equipajes, mapas, museos, aeropuertos, puentes
imperios, decretos, castillos, tratados, levantamientos, manuscritos, monumentos, parlamentos"""),
)
