"""The context controller settles what can go two ways, so that the cells of one step go together."""

from collections.abc import Callable

import pytest
import torch

from model.context_controller import OPEN, ContextController
from model.memory import with_memory

LEFT, RIGHT, CODE = 3, 10, 7


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], ContextController]:
    """A controller that is torn between a ball in the left cell and one in the right cell, never both."""

    def make(left: float) -> ContextController:
        controller = ContextController(context=8, width=16, paddle_width=16, token=32)

        def answer(tokens: torch.Tensor, settled: torch.Tensor | None = None) -> torch.Tensor:
            logits = torch.full((len(tokens), 35, 256), -20.0)
            logits[:, :, 0] = 0
            for cell, other, share in ((LEFT, RIGHT, left), (RIGHT, LEFT, 1 - left)):
                known = torch.full((len(tokens),), OPEN) if settled is None else settled[:, other]
                here = torch.where(known == OPEN, torch.tensor(share), (known == 0).float()).clamp(1e-6, 1 - 1e-6)
                logits[:, cell, 0], logits[:, cell, CODE] = (1 - here).log(), here.log()
            return logits

        monkeypatch.setattr(controller, "answer", answer)
        return controller

    return make


def test_each_cell_for_itself_would_draw_no_ball_or_two(serve: Callable[[float], ContextController]) -> None:
    logits = serve(0.5).answer(torch.zeros(400, 35, 32))
    drawn = torch.distributions.Categorical(logits=logits).sample()
    balls = (drawn == CODE).sum(1)
    assert (balls == 0).any()
    assert (balls == 2).any()


def test_settled_there_is_always_one_ball_on_either_side(serve: Callable[[float], ContextController]) -> None:
    controller, tokens = serve(0.5), torch.zeros(400, 35, 32)
    generator = torch.Generator().manual_seed(0)
    codes = controller.settle(tokens, controller.answer(tokens), 1.0, generator)
    assert ((codes == CODE).sum(1) == 1).all()
    share = (codes[:, LEFT] == CODE).float().mean()
    assert 0.4 < share < 0.6  # as the data has it, not the likelier one always


def test_at_temperature_0_the_likelier_side_is_taken(serve: Callable[[float], ContextController]) -> None:
    controller, tokens = serve(0.6), torch.zeros(5, 35, 32)
    codes = controller.settle(tokens, controller.answer(tokens))
    assert (codes[:, LEFT] == CODE).all()
    assert (codes[:, RIGHT] == 0).all()


def test_what_is_sure_is_the_argmax() -> None:
    torch.manual_seed(0)
    controller = ContextController(context=8, width=16, paddle_width=16, token=32).eval()
    logits = 30 * torch.nn.functional.one_hot(torch.randint(0, 256, (3, 35)), 256).float()
    assert torch.equal(controller.settle(torch.zeros(3, 35, 32), logits), logits.argmax(-1))


def test_settled_codes_reach_the_other_cells() -> None:
    torch.manual_seed(0)
    controller = ContextController(context=8, width=16, paddle_width=16, token=32).eval()
    torch.nn.init.normal_(controller.settled.weight)
    tokens = torch.randn(1, 35, 32)
    settled = torch.full((1, 35), OPEN)
    assert torch.equal(controller.answer(tokens, settled), controller.answer(tokens))
    settled[0, LEFT] = CODE
    assert not torch.equal(controller.answer(tokens, settled)[0, RIGHT], controller.answer(tokens)[0, RIGHT])


def test_a_bounce_is_the_same_in_every_column() -> None:
    torch.manual_seed(0)
    controller = ContextController(context=8, width=16, paddle_width=16, token=32).eval()
    for bag in (controller.ball, controller.ball_column, controller.paddle_column):
        torch.nn.init.normal_(bag.weight)
    looks = []
    for shift in (0, 24):
        now = torch.zeros(1, 210, 160, dtype=torch.uint8)
        now[0, 180:184, 50 + shift : 52 + shift] = 5
        now[0, 189:193, 45 + shift : 61 + shift] = 5
        steps = torch.arange(-7, 1)
        seen = torch.stack((180 + 2 * steps, 50 + shift + 3 * steps, torch.full((8,), 45 + shift)), 1)
        looks.append(controller.look(now, with_memory(seen[None])))
    assert torch.equal(looks[0].ball, looks[1].ball)
    assert not torch.equal(looks[0].tokens, looks[1].tokens)


def test_it_must_see_how_the_ball_moves() -> None:
    with pytest.raises(ValueError, match="at least 8 frames"):
        ContextController(context=3)
