"""Draw English sentences from a small grammar, for the mini corpora of running speech.

A change of any word changes the bytes of those corpora: raise the GENERATOR_VERSION of each.
"""

import numpy as np

# espeak-ng speaks "in the", "on the" and the like as one word and gives one time for both: none of
# them may occur.
_SOMEONE = (
    "my aunt,our neighbour,the young judge,a tired nurse,the baker,her cousin,the tall pilot,"
    "a quiet farmer,the piano teacher,his boss,the new doctor,a shy student,the old shepherd,"
    "their coach,a rich merchant,the choir,every child,the whole village,the vice mayor,a thief"
).split(",")
_DID = (
    "painted,found,measured,borrowed,washed,watched,enjoyed,sold,forgot,repaired,carried,covered,"
    "chose,described,bought,judged,polished,mentioned,lost,caught,shook,pushed,drew,weighed"
).split(",")
_KIND = (
    "yellow,heavy,broken,cheap,purple,ancient,noisy,small,beige,thick,smooth,frozen,golden,usual,"
    "large,wooden,cosy,round,empty,sharp,brown,loud,giant,gentle"
).split(",")
_THING = (
    "boat,kitchen chair,garage door,violin,bucket,coin,garden,mirror,jacket,bridge,treasure,letter,"
    "lamp,suitcase,bottle,path,oyster,ship,toy,hammer,picture,measure,thumb,television,shoe,cage,"
    "feather,window,book,vision,orange,wheel,leather belt,cookie,toad,yacht"
).split(",")
_WHERE = (
    "near the harbour,behind the church,under the oak tree,beside the road,inside the basement,"
    "across the valley,outside the station,along the beach,above the shop,beyond the theatre,"
    "between two houses,by the fire"
).split(",")
_WHEN = (
    "yesterday,last Thursday,this morning,after a long voyage,every other year,before lunch,"
    "without much thought,once again,in pouring rain,twice a month,as usual,all night"
).split(",")
_OPENING = (
    "I think,we heard,you know,they say,nobody believes,she wrote,he hopes,it seems,people guess"
).split(",")
_REASON = (
    "because it was cold,although nobody asked,and then went home,but kept the change,"
    "while the others slept,so we should hurry,unless they were wrong,until the music stopped,"
    "which made us laugh,and paid with cash"
).split(",")


def sentence(rng: np.random.Generator) -> str:
    """One sentence of 6 to 20 words, with a capital letter and a full stop.

    Example
    -------
    >>> rng = np.random.Generator(np.random.PCG64(1))
    >>> len({sentence(rng) for _ in range(100)})
    100
    """

    def one(words: list[str]) -> str:
        return words[int(rng.integers(len(words)))]

    parts = [one(_SOMEONE), one(_DID), "the", one(_KIND), one(_THING)]
    if rng.random() < 0.4:
        parts.insert(0, one(_OPENING))
    if rng.random() < 0.5:
        parts.append(one(_WHERE))
    if rng.random() < 0.4:
        parts.append(one(_WHEN))
    if rng.random() < 0.35:
        parts[-1] += ","
        parts.append(one(_REASON))
    text = " ".join(parts)
    return text[0].upper() + text[1:] + "."


def talk(rng: np.random.Generator, num_words: int) -> str:
    """Sentences one after the other, of `num_words` words or a few more.

    Example
    -------
    >>> len(talk(np.random.Generator(np.random.PCG64(1)), 30).split()) >= 30
    True
    """
    sentences: list[str] = []
    while sum(len(text.split()) for text in sentences) < num_words:
        sentences.append(sentence(rng))
    return " ".join(sentences)
