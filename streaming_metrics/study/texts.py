"""Texts of a study where its plan gives none: consent and questions, by language."""

from __future__ import annotations

LANGUAGES = ("en", "ko")
"""The languages that the page speaks."""

CONSENT = {
    "en": (
        "This is a study of how people judge images. You will be shown images and asked a question about each; there "
        "are no right or wrong opinions. Taking part is voluntary: you may pause or stop at any time by closing the "
        "page. Your answers, how long each took, and when it came are kept under a random code. Neither your name nor "
        "your address on the internet is kept. By going on you agree that these answers are used for research and "
        "may be published without anything that tells who you are."
    ),
    "ko": (
        "이 연구는 사람들이 이미지를 어떻게 판단하는지 알아봅니다. 이미지를 보고 각각에 대한 "
        "질문에 답하게 되며, 의견에는 맞고 틀림이 없습니다. 참여는 자발적이며, 언제든지 "
        "페이지를 닫아 쉬거나 그만둘 수 있습니다. 답변과 답변에 걸린 시간, 답변한 시각은 "
        "무작위 코드로만 보관됩니다. 이름과 인터넷 주소는 보관하지 않습니다. 계속하면 이 답변이 "
        "연구에 쓰이고 누구인지 알 수 없는 형태로 공개될 수 있음에 동의하는 것입니다."
    ),
}

QUESTIONS = {
    "preference": {"en": "Which image looks better?", "ko": "어느 이미지가 더 좋아 보이나요?"},
    "against_real": {"en": "Which image looks more real?", "ko": "어느 이미지가 더 진짜 같나요?"},
    "opinion": {"en": "How good is this image?", "ko": "이 이미지의 품질은 어떤가요?"},
    "categorisation": {"en": "Was this image real or fake?", "ko": "이 이미지는 진짜였나요, 가짜였나요?"},
    "alignment": {
        "en": "How well does the image match the text?",
        "ko": "이미지가 글의 내용과 얼마나 잘 맞나요?",
    },
}
