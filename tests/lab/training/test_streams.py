"""Which draws are alike and which are not."""

import itertools

import torch

from mixwright.lab.training.epoch import streams
from mixwright.sampling import Stream


def first_draws(seed, rank, epoch):
    return [torch.rand(3, generator=one).tolist() for one in streams(seed, rank, epoch)]


def test_streams_are_made_again_alike():
    assert first_draws(1, 0, 2) == first_draws(1, 0, 2)


def test_only_the_order_is_shared_and_only_by_ranks():
    places = list(itertools.product((0, 1), (0, 1), (1, 2)))  # seed, rank, epoch
    draws = {place: first_draws(*place) for place in places}
    for (seed, _, epoch), own in draws.items():
        assert own[Stream.ORDER] == draws[seed, 0, epoch][Stream.ORDER]
    private = [str(draw) for own in draws.values() for draw in own[Stream.ORDER + 1 :]]
    shared = {str(own[Stream.ORDER]) for own in draws.values()}
    assert len(set(private)) == len(private) == 24
    assert len(shared) == 4
    assert not shared & set(private)
