"""The tree of a memory and the step to it, as often as they are asked for."""

from sandbox.memory import Pool
from sandbox.pagestore.hash_tree import PAGE, PAGES_PER_BLOCK
from sandbox.pagestore.memory_trees import remember, tree, update


def test_an_update_is_the_same_however_often_and_by_whom_it_is_asked_for() -> None:
    memory = Pool().memory(64 * PAGE)
    memory.write(5 * PAGE, b"first")
    before = memory.image()
    assert update(before).step is None, "there was no tree before"
    memory.write(PAGES_PER_BLOCK * PAGE, b"second")
    image = memory.image()
    after = tree(image)

    updates = [update(image), update(image)]

    for current, step, _ in updates:
        assert current is after
        assert step is not None
        assert step.after is after
        assert step.before is tree(before) or step.before.root == tree(before).root
        assert [number for number, *_ in step.blocks] == [1]


def test_no_step_leads_to_a_tree_that_was_registered() -> None:
    memory = Pool().memory(64 * PAGE)
    memory.write(0, b"one")
    before = memory.image()
    tree(before)
    memory.write(PAGE, b"two")
    image = memory.image()
    known = update(image)
    assert known.step is not None

    remember(image, known.tree)

    assert update(image) == (known.tree, None, update(image).pages)


def test_pages_come_with_the_call_that_reads_them() -> None:
    memory = Pool().memory(64 * PAGE)
    memory.write(3 * PAGE, b"content")
    image = memory.image()

    first, second = update(image), update(image)

    assert first.pages.numbers == [3]
    assert second.pages.numbers == []
    assert first.tree is second.tree
