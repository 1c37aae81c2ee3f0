"""The prompts of the benchmarks: plain English that a small model answers at length."""

import json

_PARAMETERS = {"type": "object", "properties": {"name": {"type": "string"}, "amount": {"type": "integer"}}}
_TOOLS = {
    "find_order": "Finds an order of a customer by its number, and tells when it was made and what is in it.",
    "cancel_order": "Cancels an order that was not sent yet, and gives the money back to the customer.",
    "change_address": "Changes the address that an order is sent to, as long as it was not sent yet.",
    "track_parcel": "Tells where a parcel is now, and on which day it will arrive if all goes well.",
    "refund": "Gives a part of the money back, for goods that came too late or were damaged.",
    "open_ticket": "Opens a ticket for a person to look at, if nothing else can be done for the customer.",
    "search_products": "Searches the shop for products by their names, and tells prices and what is there.",
    "add_note": "Adds a note to the customer's file, so that the next one who helps knows of it.",
}
_RULES = (
    "You are an assistant of a shop that sells tools for gardens. You are polite and brief. "
    "You never promise what you can't know. You ask for the number of the order if the customer did not tell it. "
    "You don't talk about other customers. You answer in English. "
)

# About 1,100 tokens, including the descriptions of eight tools.
SYSTEM = (
    _RULES * 9
    + "\nThese are your tools:\n"
    + "\n".join(
        json.dumps({"type": "function", "function": {"name": n, "description": d, "parameters": _PARAMETERS}})
        for n, d in _TOOLS.items()
    )
)

QUESTIONS = [
    f"My order with the number {1000 + 37 * number} has not come yet. What can you tell me about it?"
    for number in range(64)
]
TURNS = [
    "My spade broke on the first day. What can I do?",
    "I bought it three weeks ago. Is that too late?",
    "Which spade would you take for heavy soil?",
    "How do I keep it from rusting?",
    "Do you sell gloves too?",
    "Thank you. What was it that I asked for first?",
]
COUNT = "Write the numbers from 1 to 100 in words, one in each line."

BOOK = {
    "title": "Book",
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 40},
        "author": {"type": "string", "maxLength": 40},
        "year": {"type": "integer"},
        "pages": {"type": "integer"},
        "publisher": {"type": "string", "maxLength": 40},
        "in_print": {"type": "boolean"},
    },
    "required": ["title", "author", "year", "pages", "publisher", "in_print"],
    "additionalProperties": False,
}
ASK_BOOK = "Tell me of a famous book: its title, author, year, number of pages, publisher, and whether it is in print."
