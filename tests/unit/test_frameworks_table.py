"""The table of docs/FRAMEWORKS.md: each cell has a test with the framework, or says "no"."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "FRAMEWORKS.md").read_text(encoding="utf-8")
FRAMEWORKS = ("pydantic-ai", "LangChain", "smolagents", "Agents SDK", "llm")
FILES = {
    "ai": "test_pydantic_ai.py",
    "real": "test_pydantic_ai_real.py",
    "lc": "test_langchain.py",
    "smol": "test_smolagents.py",
    "sdk": "test_openai_agents.py",
    "llm": "test_llm.py",
    "around": "test_around_runs.py",
    "together": "test_together.py",
}
NO = ""
TESTS = {
    "answers, token counts": (
        "real::test_the_real_model",
        "lc::test_the_real_model_in_four_ways",
        "smol::test_the_real_model",
        "sdk::test_the_real_model",
        "llm::test_the_real_model",
    ),
    "the reason of an answer's end": (
        "real::test_the_real_model",
        "lc::test_the_real_model_in_four_ways",
        "smol::test_thoughts_and_the_reason_of_the_end",
        NO,
        "llm::test_the_real_model",
    ),
    "streamed text": (
        "real::test_the_real_model_streams",
        "lc::test_the_real_model_in_four_ways",
        "smol::test_closing_a_stream_ends_the_computation",
        "sdk::test_a_stream_has_the_pieces",
        "llm::test_the_real_model",
    ),
    "asynchronous without threads": (
        "real::test_sixteen_agents_share_batches",
        "lc::test_sixteen_questions_share_batches",
        NO,
        "sdk::test_sixteen_agents_share_batches",
        "llm::test_sixteen_questions_share_batches",
    ),
    "thoughts": (
        "ai::test_thoughts_are_parts_of_their_own",
        "lc::test_text_thoughts_and_calls_of_one_answer",
        "smol::test_thoughts_and_the_reason_of_the_end",
        "sdk::test_thoughts_are_items_and_go_back",
        "llm::test_a_chain_with_tools",
    ),
    "tools: auto, forced, by name, several in one answer": (
        "ai::test_the_choice_of_a_tool real::test_a_tool_that_the_real_model_has_to_call",
        "lc::test_the_choice_of_a_tool lc::test_a_tool_that_the_real_model_has_to_call",
        "smol::test_a_tool_that_the_real_model_has_to_call",
        "sdk::test_a_whole_run_with_tools sdk::test_a_tool_that_the_real_model_has_to_call",
        "llm::test_a_chain_with_tools llm::test_a_tool_that_the_real_model_has_to_call",
    ),
    "wrong calls reach the framework, which answers them": (
        "ai::test_wrong_arguments_and_unknown_tools_are_corrected_by_pydantic_ai",
        "lc::test_wrong_arguments_and_unknown_tools_reach_the_caller",
        "smol::test_wrong_steps_are_errors_that_the_model_reads",
        "sdk::test_wrong_calls_are_answered_by_the_sdk",
        "llm::test_wrong_calls_are_answered_by_llm",
    ),
    "structured output, constrained while decoding": (
        "real::test_typed_results_of_the_real_model",
        "lc::test_structured_output_of_the_real_model",
        "smol::test_structured_output_of_the_real_model",
        "sdk::test_a_typed_result_of_the_real_model",
        "llm::test_a_typed_answer_of_the_real_model",
    ),
    "partial structured output in streams": (
        "ai::test_partial_objects",
        "lc::test_partial_structured_output",
        NO,
        NO,
        NO,
    ),
    "cancelled by task or by closing the stream": (
        "real::test_cancelling_a_run real::test_leaving_a_stream_ends_the_computation",
        "lc::test_cancelling_a_task_ends_the_computation lc::test_leaving_a_stream_ends_the_computation",
        "smol::test_closing_a_stream_ends_the_computation",
        "sdk::test_cancelling_a_run_ends_the_computation sdk::test_cancelling_a_stream_ends_the_computation",
        "llm::test_cancelling_a_task_ends_the_computation llm::test_leaving_a_stream_ends_the_computation",
    ),
    "its own exceptions": (
        "ai::test_errors_are_pydantic_ais",
        "lc::test_errors_are_langchains",
        "smol::test_errors_are_the_cause_of_smolagents_own",
        "sdk::test_errors",
        "llm::test_errors_are_llms",
    ),
    "probabilities of tokens": (
        "real::test_probabilities",
        "lc::test_probabilities",
        NO,
        "sdk::test_probabilities",
        NO,
    ),
    "tokens counted before a request": (
        "real::test_tokens_are_counted_before_a_request",
        "lc::test_tokens",
        NO,
        NO,
        NO,
    ),
    "16 at once decoded in shared batches": (
        "real::test_sixteen_agents_share_batches together::test_agents_of_all_frameworks_share_batches",
        "lc::test_sixteen_questions_share_batches",
        "smol::test_sixteen_threads_share_batches",
        "sdk::test_sixteen_agents_share_batches",
        "llm::test_sixteen_questions_share_batches",
    ),
    "limits of a run": (
        "around::test_pydantic_ai_limits",
        NO,
        "around::test_smolagents_limits",
        "around::test_openai_agents_limits",
        "around::test_llm_limits",
    ),
    "`usage_limits` of an answer": (
        "around::test_pydantic_ai_own_limits",
        "around::test_langchain_own_limits",
        "around::test_smolagents_own_limits",
        "around::test_openai_agents_own_limits",
        NO,
    ),
    "conversations that are stored": (
        "around::test_pydantic_ai_sessions",
        "around::test_langchain_sessions",
        "around::test_smolagents_sessions",
        "sdk::test_a_session_goes_on",
        "llm::test_the_program_lists_and_prompts",
    ),
    "spans and metrics of `luup_agent.telemetry`": (
        "around::test_pydantic_ai_telemetry",
        "around::test_langchain_telemetry",
        "around::test_smolagents_telemetry",
        "around::test_openai_agents_telemetry",
        "around::test_llm_telemetry",
    ),
    "its own traces": (
        "around::test_pydantic_ai_traces",
        "lc::test_callbacks_get_the_pieces",
        "around::test_smolagents_monitor",
        "sdk::test_traces",
        "llm::test_the_program_lists_and_prompts",
    ),
    "vectors of texts": (NO, NO, NO, NO, "llm::test_vectors"),
    "pictures, sound, documents": (NO, NO, NO, NO, NO),
}


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def read_table():
    """Return the table's columns, and its rows by their first cell, without the addresses of links."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", PAGE)
    head = re.search(r"^\| \| pydantic-ai .*\n\|[-|]+\n((?:\|.*\n)+)", plain, flags=re.MULTILINE)
    columns = cells(head.group(0).splitlines()[0])
    rows = [cells(line) for line in head.group(1).splitlines()]
    return tuple(columns[-5:]), {row[0]: row[1:] for row in rows}


def test_the_table_has_these_rows_and_columns():
    columns, rows = read_table()
    assert columns == FRAMEWORKS
    assert list(rows) == list(TESTS)


def functions(name):
    tree = ast.parse((ROOT / "tests" / "integrations" / name).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("row", TESTS)
def test_each_cell_has_its_tests_or_says_no(row):
    _, rows = read_table()
    for framework, cell, tests in zip(FRAMEWORKS, rows[row], TESTS[row]):
        assert cell.startswith("no") == (not tests), (row, framework)
        for test in tests.split():
            file, _, function = test.partition("::")
            assert function in functions(FILES[file]), (row, framework, test)
