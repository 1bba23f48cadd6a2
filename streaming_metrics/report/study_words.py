"""Words of a study's sections: what each number is, and what it is worth."""

MEANS = {
    "preference": "Share of comparisons won",
    "opinion": "Mean score",
    "alignment": "Mean score",
    "categorisation": "Share taken for real",
}
OPINION = (
    "Points are means over raters and prompts, lines their intervals: raters who are all lenient, and prompts that are "
    "all hard, are in them. Hollow: every rater brought to the same mean and spread first, so that how a person uses "
    "the scale does not count."
)
STRENGTHS = (
    "{} strengths by maximum likelihood, as log-odds around 0: one that is ahead of another by 1 is preferred to it "
    "2.7 times as often as the other way round."
)
LEFT = "Of two that are equally strong, the left one wins a share of {}{}."
TIES = "Two that are equally strong tie in {:.0f} % of comparisons."
WINS = "A tie counts one half to either. How many there were stands in each cell's title."
SHARES = "Of all comparisons that a condition was in; it depends on whom it met, which strengths take into account."
DETECTION = "How well people tell generated from real images, by how long one is on the screen before it is masked."
DPRIME = "0 is chance: generated images are not told from real ones, whatever the bias. 1 is 69 % right without one."
FOOLED = "Share of generated images that were called real."
GROUPS = "{}, with its interval; with few judgements to a group it says little."
DIFFERENCES = {
    "preference": "Share of the first in comparisons with the second, less one half.",
    "opinion": "Of mean scores.",
    "alignment": "Of mean scores.",
    "categorisation": "Of shares taken for real, at all exposures together.",
}
CONTRASTS = "{} Same raters and same prompts are compared where there are such pairs."
BY_CHANCE = " Of {} pairs some look different by chance: p (Holm) takes that into account."
NEEDED = (
    "Judgements more of a condition, by more raters like these, until its interval is within ± {:g}; or by the same "
    "raters of the same images, where what raters differ by leaves that."
)
BESIDE = (
    "Whether a measure puts the checkpoints in the order that people do; its direction is turned so that 1 is full "
    "agreement. Few checkpoints say little, and those of one training follow one another."
)
