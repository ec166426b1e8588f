// Pairs of answers to begin with, written for this page.

export const EXAMPLES = [
  {
    name: "Sleeping better",
    turns: [
      {
        prompt: "I wake up at four every night. Give me three tips for sleeping better.",
        a: "# Three tips\n\n1. **Keep one hour.** Get up at the same time every day, even after a bad night. Your body learns it within two weeks.\n2. **Dim the evening.** Switch off bright lamps and screens an hour before bed.\n3. **Leave the bed when you lie awake.** Read something dull in another room until you are tired again.\n\nIf it goes on for more than a month, see a doctor.",
        b: "Sorry to hear that! As an AI I don't sleep, so I cannot say from experience. Perhaps drink less coffee, or try to relax.",
      },
    ],
  },
  {
    name: "Código",
    turns: [
      {
        prompt: "¿Cómo invierto una lista en Python sin cambiar la original?",
        a: "Usa un corte con paso negativo; crea una lista nueva:\n\n```python\nnumeros = [1, 2, 3]\nal_reves = numeros[::-1]\n```\n\n`numeros` sigue siendo `[1, 2, 3]`. Con `numeros.reverse()`, en cambio, cambiarías la original.",
        b: "You can call `reverse()` on the list and it will be reversed.",
      },
    ],
  },
  {
    name: "Zwei Antworten, fast gleich",
    turns: [
      {
        prompt: "Wie hoch ist die Zugspitze?",
        a: "Die Zugspitze ist 2.962 Meter hoch und damit der höchste Berg Deutschlands.",
        b: "Mit 2.962 Metern ist die Zugspitze der höchste Berg in Deutschland.",
      },
    ],
  },
  {
    name: "Two turns",
    turns: [
      {
        prompt: "Name a good first board game for a family with a six-year-old.",
        a: "**Ticket to Ride: First Journey** is a good choice: the rules fit on one page, a game takes twenty minutes, and nobody is thrown out before the end.",
        b: "There are many good board games for families. It depends on what you like.",
      },
      {
        prompt: "And one that we play together, not against each other?",
        a: "Try **Outfoxed!** You search for a thief together, with dice and a little decoder. Children like that the whole family wins or loses as one.",
        b: "A cooperative game would be good for that. Cooperative games are games in which the players work together.",
      },
    ],
  },
];
