"""Questions about a folder of texts: their passages as vectors in SQLite, and a search as the tool of an agent.

python examples/rag.py EMBEDDER FOLDER QUESTION [MODEL]

EMBEDDER and MODEL: a path, "hf:owner/repo:Q8_0", …; MODEL may also be "smollm2" (the default). The database is the file
vectors.sqlite in the folder; a text is read again when it has changed.
"""

import re
import sqlite3
import sys
from array import array
from operator import mul
from pathlib import Path
from typing import List, Sequence, Tuple

from pydantic import Field
from typing_extensions import Annotated

from luup_agent import Agent, Embedder, LuupError, Model, catalog

Topic = Annotated[str, Field(max_length=40)]

SCHEMA = """
CREATE TABLE IF NOT EXISTS passage (file TEXT, changed REAL, text TEXT, vector BLOB);
CREATE INDEX IF NOT EXISTS passage_file ON passage (file, changed);
"""


def passages(text: str, embedder: Embedder) -> List[str]:
    """Return the paragraphs of a text, those that are too long for the embedder in pieces."""
    limit = embedder.get_info().context_size
    found: List[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        rest = [paragraph.strip()]
        while rest:
            piece = rest.pop(0)
            if embedder.count_tokens(piece) <= limit:
                found += [piece] if piece else []
            else:
                middle = piece.rfind(" ", 1, len(piece) // 2) + 1 or len(piece) // 2
                rest[:0] = [piece[:middle].strip(), piece[middle:].strip()]
    return found


def update(database: sqlite3.Connection, folder: Path, embedder: Embedder) -> None:
    """Read the texts that are new or have changed, and forget those that are gone."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.suffix in (".txt", ".md")}
    for (name,) in database.execute("SELECT DISTINCT file FROM passage").fetchall():
        if name not in files:
            database.execute("DELETE FROM passage WHERE file = ?", (name,))
    for name, path in sorted(files.items()):
        changed = path.stat().st_mtime
        if database.execute("SELECT 1 FROM passage WHERE file = ? AND changed = ?", (name, changed)).fetchone():
            continue
        texts = passages(path.read_text(encoding="utf-8", errors="replace"), embedder)
        vectors = embedder.embed(texts)
        database.execute("DELETE FROM passage WHERE file = ?", (name,))
        rows = [(name, changed, text, vector.tobytes()) for text, vector in zip(texts, vectors)]
        database.executemany("INSERT INTO passage VALUES (?, ?, ?, ?)", rows)
        print(f"{name}: {len(texts)} passages, {vectors.usage} tokens")
    database.commit()


def search(database: sqlite3.Connection, query: Sequence[float], count: int) -> List[Tuple[float, str, str]]:
    """Return the best passages: the cosine, which is the product of normalized vectors; the file; the text."""
    scored = []
    for file, text, blob in database.execute("SELECT file, text, vector FROM passage"):
        scored.append((sum(map(mul, query, array("f", blob))), file, text))
    return sorted(scored, reverse=True)[:count]


def main() -> int:
    if not 4 <= len(sys.argv) <= 5:
        print("usage: python examples/rag.py EMBEDDER FOLDER QUESTION [MODEL]", file=sys.stderr)
        return 2
    folder, question = Path(sys.argv[2]), sys.argv[3]
    try:
        path = catalog.resolve(sys.argv[4] if len(sys.argv) > 4 else "smollm2")
        with Embedder.from_local(sys.argv[1]) as embedder, Model.from_local(path) as model:
            database = sqlite3.connect(str(folder / "vectors.sqlite"), check_same_thread=False)
            database.executescript(SCHEMA)
            update(database, folder, embedder)
            agent = Agent(model, "Answer from the passages that you find.", temperature=0, max_tokens=64, max_turns=3)

            @agent.tool
            def find_passages(topic: Topic) -> str:
                """Find the passages of the user's texts that are about a topic.

                Args:
                    topic: A few words.
                """
                # A small model shortens the topic too much, so the user's own words go along.
                (vector,) = embedder.embed([f"{question} {topic}"], truncate=True)
                found = search(database, vector, 2)
                for score, file, text in found:
                    print(f"{score:.2f} {file}: {text}")
                return "\n".join(text for _, _, text in found) or "There are no texts."

            print(agent.generate(question, tool_choice="find_passages"))
            database.close()
    except (LuupError, OSError, sqlite3.Error) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
