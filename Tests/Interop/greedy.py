"""Are greedy answers on F32 copies stock's, word for word? Where one differs, is it a near-tie?

A difference is shown with the gap, in stock's own logits, between stock's token and ours at the first place where they
part, beside the largest gap by which stock differs from itself there (flash attention on and off). It passes as a
near-tie when the gap is below NEAR_TIE.
"""

from interop import (GEMMA_F32, NEAR_TIE, PROMPTS, Report, SHORT, SMOLLM_F32, oracle, pack_strings, parse_ids, stock_logits, swiftlet,
                     swiftlet_logits)

report = Report()
count = 64
prompts = PROMPTS[:2] if SHORT else PROMPTS


def stock_answers(model, flash):
    """For each prompt its tokens, the tokens made, and their bytes."""
    lines = oracle("greedy", model, pack_strings([text.encode() for text in PROMPTS]), "txt", n=count, flash=flash)
    answers = []
    for line in lines.read_text().splitlines():
        prompt, made, pieces = line.split("\t")
        answers.append((parse_ids(prompt), parse_ids(made), [bytes.fromhex(piece) for piece in pieces.split(",")]))
    return answers


def check(model, name):
    expected = stock_answers(model, 1)
    same = sum(a[1] == b[1] for a, b in zip(expected, stock_answers(model, 0)))
    report.note(f"{name}: stock beside itself (flash attention on / off): {same} of {len(PROMPTS)} answers equal")
    identical = 0
    for number, (text, (prompt, made, pieces)) in enumerate(zip(prompts, expected)):
        answer = swiftlet("run", "--model", model, "--prompt", text, "-n", count, "--temperature", 0, "--raw").stdout
        # Only the text is seen: bytes that are no UTF-8 come as replacement characters, and a line end may follow.
        wanted = b"".join(pieces).decode(errors="replace")
        found = answer.decode(errors="replace")
        if found == wanted or found == wanted + "\n":
            identical += 1
            report.check(True, f"{name}, prompt {number + 1}: {len(made)} tokens, identical")
            continue
        parted = 0
        while parted < len(made) and found.startswith(b"".join(pieces[:parted + 1]).decode(errors="replace")):
            parted += 1
        if parted == len(made):
            report.check(False, f"{name}, prompt {number + 1}: goes on after stock's {len(made)} tokens: {found[len(wanted):]!r}")
            continue
        so_far = prompt + made[:parted]
        stock_row = stock_logits(model, so_far)[-1]
        ours = int(swiftlet_logits(model, so_far)[-1].argmax())
        gap = float(stock_row[made[parted]] - stock_row[ours])
        noise = float(abs(stock_logits(model, so_far, flash=0)[-1] - stock_row).max())
        report.check(
            ours != made[parted] and gap < NEAR_TIE,
            f"{name}, prompt {number + 1}: parts at token {parted + 1}: stock {made[parted]}, swiftlet {ours}, gap {gap:.2e} logits "
            f"(near-tie below {NEAR_TIE}; stock's own noise here {noise:.2e})")
    report.note(f"{name}: {identical} of {len(prompts)} answers identical")


check(GEMMA_F32, "Gemma")
check(SMOLLM_F32, "SmolLM2")
report.finish()
