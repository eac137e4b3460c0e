"""Saliency through a model: class activation and feature means, against nets worked by hand."""

from __future__ import annotations

import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.saliency.cam import ClassActivation
from mixwright.saliency.features import FeatureMean
from mixwright.sampling import stream


class Net(nn.Module):
    """Two channels of the image itself, halved in size, pooled and classified."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.AvgPool2d(2)
        self.norm = nn.BatchNorm2d(2)
        self.head = nn.Linear(2, 3)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]]))
        self.runs = 0

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        self.runs += 1
        return self.head(self.norm(self.body(images)).mean(dim=(2, 3)))


def quiet_net() -> Net:
    net = Net()
    net.norm.eps = 0.0
    net.train()
    return net


IMAGES = torch.rand(3, 2, 4, 6, generator=stream(0))


def up(maps: Tensor) -> Tensor:
    return F.interpolate(maps[:, None], (4, 6), mode="bilinear", align_corners=False)[:, 0]


def test_cam_weighs_channels_as_the_true_class_does():
    net, pooled = quiet_net(), F.avg_pool2d(IMAGES, 2)
    wanted = up(torch.stack([pooled[0, 0], 2 * pooled[1, 1], pooled[2, 1] - pooled[2, 0]]))
    wanted = wanted - wanted.amin(dim=(1, 2), keepdim=True)
    got = ClassActivation()(IMAGES, torch.arange(3), model=net)
    torch.testing.assert_close(got, wanted)
    assert got.dtype == torch.float32
    assert not got.requires_grad
    assert (got >= 0).all()
    assert net.training
    assert net.norm.num_batches_tracked == 0
    assert net.runs == 2  # one to find the map, the other for the batch
    ClassActivation()(IMAGES, torch.arange(3), model=net)
    assert net.runs == 3


def test_cam_of_soft_labels_weighs_the_classes():
    net, labels = quiet_net(), torch.tensor([[0.5, 0.5, 0.0]] * 3)
    pooled = F.avg_pool2d(IMAGES, 2)
    wanted = up(0.5 * pooled[:, 0] + pooled[:, 1])
    got = ClassActivation()(IMAGES, labels, model=net)
    torch.testing.assert_close(got, wanted - wanted.amin(dim=(1, 2), keepdim=True))
    hard = ClassActivation()(IMAGES, torch.arange(3), model=net)
    torch.testing.assert_close(ClassActivation()(IMAGES, torch.eye(3).double(), model=net), hard)


def test_a_bias_of_the_classifier_changes_nothing():
    net = quiet_net()
    before = ClassActivation()(IMAGES, torch.arange(3), model=net)
    with torch.no_grad():
        net.head.bias.add_(5.0)
    assert torch.equal(ClassActivation()(IMAGES, torch.arange(3), model=net), before)


def test_cam_refuses_what_it_cannot_weigh():
    images = torch.rand(2, 3, 8, 8, generator=stream(0))
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1),
        nn.Conv2d(4, 5, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 2),
    )
    found = ClassActivation(layer="1")(images, torch.tensor([0, 1]), model=net)
    assert found.shape == (2, 8, 8)
    with pytest.raises(ValueError, match="layer '0' gives 4 channels, the classifier weighs 5"):
        ClassActivation(layer="0")(images, torch.tensor([0, 1]), model=net)
    with pytest.raises(ValueError, match="no layer '11'; the nearest are"):
        ClassActivation(layer="11")(images, torch.tensor([0, 1]), model=net)
    with pytest.raises(ValueError, match="ClassActivation: labels missing"):
        ClassActivation()(images, model=net)
    with pytest.raises(ValueError, match="ClassActivation: model missing"):
        ClassActivation()(images, torch.tensor([0, 1]))


def test_feature_means_keep_the_order_of_places():
    net, pooled = quiet_net(), F.avg_pool2d(IMAGES - 0.7, 2).mean(dim=1)
    wanted = up(pooled - pooled.amin(dim=(1, 2), keepdim=True))
    got = FeatureMean()(IMAGES - 0.7, model=net)
    torch.testing.assert_close(got, wanted)
    assert (got >= 0).all()
    assert net.training
    assert not got.requires_grad


def test_a_teacher_stands_in_for_the_model():
    net = quiet_net()
    alone = FeatureMean(teacher=net)
    torch.testing.assert_close(alone(IMAGES), FeatureMean()(IMAGES, model=net))
    torch.testing.assert_close(alone(IMAGES, model=nn.Identity()), alone(IMAGES))
    assert alone.needs == ()
    assert FeatureMean().needs == ("model",)
    assert hash(alone) == hash(FeatureMean(teacher=net))
    again = pickle.loads(pickle.dumps(alone))
    torch.testing.assert_close(again(IMAGES), alone(IMAGES))
    with pytest.raises(ValueError, match="FeatureMean: model missing"):
        FeatureMean()(IMAGES)


@pytest.mark.parametrize("size", [8, (8, 10)])
def test_a_teacher_sees_images_in_its_own_size(size):
    net = quiet_net()
    sides = size if isinstance(size, tuple) else (size, size)
    large = F.interpolate(IMAGES, sides, mode="bilinear", align_corners=False)
    pooled = F.avg_pool2d(large, 2).mean(dim=1)
    wanted = up(pooled - pooled.amin(dim=(1, 2), keepdim=True))
    torch.testing.assert_close(FeatureMean(teacher=net, size=size)(IMAGES), wanted)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, (), (2,), (2, 0), (1, 2, 3), "8"])
def test_sizes_that_are_none_are_refused(size):
    with pytest.raises(ValueError, match="FeatureMean: size is"):
        FeatureMean(size=size)


@pytest.mark.parametrize("provider", [ClassActivation(), FeatureMean()], ids=["cam", "features"])
def test_whole_numbers_and_autocast_are_taken(provider):
    images = torch.randint(256, (2, 2, 8, 8), generator=stream(0), dtype=torch.uint8)
    labels, net = torch.tensor([0, 2]), quiet_net()
    found = provider(images, labels, model=net)
    torch.testing.assert_close(found, provider(images.float(), labels, model=net))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(provider(images, labels, model=net), found)


def test_maps_with_channels_last_are_known_by_the_classifier():
    class Turned(nn.Module):
        """Gives (B, h, w, C), as Swin transformers do."""

        def forward(self, images: Tensor) -> Tensor:
            return F.avg_pool2d(images, 2).permute(0, 2, 3, 1)

    class Pooled(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features.mean(dim=(1, 2))

    net, labels = nn.Sequential(Turned(), Pooled(), nn.Linear(2, 3)), torch.tensor([0, 1, 2])
    plain = nn.Sequential(nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), net[2])
    images = torch.rand(3, 2, 8, 12, generator=stream(0))
    for provider in (ClassActivation(layer="0"), FeatureMean(), FeatureMean(layer="0")):
        got, wanted = (provider(images, labels, model=one) for one in (net, plain))
        torch.testing.assert_close(got, wanted)


def test_a_network_without_linear_layer_can_teach():
    net = nn.Sequential(nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Conv2d(2, 3, 1))
    pooled = F.avg_pool2d(IMAGES, 2).mean(dim=1)
    wanted = up(pooled - pooled.amin(dim=(1, 2), keepdim=True))
    torch.testing.assert_close(FeatureMean(layer="0", teacher=net)(IMAGES), wanted)


@pytest.mark.parametrize("size", [(32, 32), (17, 5), (224, 224)])
def test_a_map_of_one_place_says_nothing(size):
    net = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 16, 1), nn.Flatten(), nn.Linear(16, 3)
    )
    images = torch.rand(3, 3, *size, generator=stream(0))
    assert ClassActivation()(images, torch.arange(3), model=net).count_nonzero() == 0


def test_the_classifier_is_the_last_linear_that_runs():
    net, images = quiet_net(), IMAGES
    wanted = ClassActivation()(images, torch.arange(3), model=net)
    net = quiet_net()
    net.projection = nn.Linear(2, 9)  # registered last, run elsewhere
    torch.testing.assert_close(ClassActivation()(images, torch.arange(3), model=net), wanted)


@pytest.mark.parametrize("provider", [ClassActivation(), FeatureMean()], ids=["cam", "features"])
def test_a_network_may_write_into_its_input(provider):
    class Writing(Net):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.sub_(0.5))

    net, plain = Writing().train(), Net().train()
    net.load_state_dict(plain.state_dict())
    images = IMAGES.clone()
    got = provider(images, torch.arange(3), model=net)
    assert torch.equal(images, IMAGES)
    assert torch.equal(got, provider(IMAGES - 0.5, torch.arange(3), model=plain))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_cam_takes_labels_of_any_whole_numbers(dtype):
    net, labels = quiet_net(), torch.arange(3)
    wanted = ClassActivation()(IMAGES, labels, model=net)
    assert torch.equal(ClassActivation()(IMAGES, labels.to(dtype), model=net), wanted)


def test_feature_means_look_before_a_head_that_pools_first():
    net = nn.Sequential(
        nn.Conv2d(2, 4, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(4, 6, 1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )
    wanted = FeatureMean(layer="0")(IMAGES, model=net)
    assert wanted.amax() > 0
    assert torch.equal(FeatureMean()(IMAGES, model=net), wanted)


@pytest.mark.parametrize("size", [(8, 16), (16, 8), (8, 8), (6, 18)])
def test_tokens_lie_as_the_image_does(size):
    class Tokens(nn.Module):
        """Cells of 2 pixels as tokens, behind one that stands for all."""

        def forward(self, images: Tensor) -> Tensor:
            cells = F.avg_pool2d(images, 2).flatten(2).transpose(1, 2)
            return torch.cat([cells.mean(dim=1, keepdim=True), cells], dim=1)

    class First(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            return tokens[:, 0]

    net = nn.Sequential(Tokens(), First(), nn.Linear(2, 3))
    images = torch.rand(3, 2, *size, generator=stream(0))
    plain = FeatureMean(layer="0")(images, model=nn.Sequential(nn.AvgPool2d(2)))
    torch.testing.assert_close(FeatureMean()(images, model=net), plain)


@pytest.mark.parametrize("size", [(8, 8), (8, 12)])
def test_a_named_layer_with_channels_last_is_known_by_its_shape(size):
    class Turned(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features.permute(0, 2, 3, 1)

    body = nn.Sequential(nn.Conv2d(2, 5, 2, 2), Turned())
    net = nn.Sequential(body, nn.Linear(5, 7), nn.Flatten(), nn.LazyLinear(3))
    images = torch.rand(3, 2, *size, generator=stream(0))
    net(images)
    wanted = FeatureMean(layer="0.0")(images, model=net)
    torch.testing.assert_close(FeatureMean(layer="0.1")(images, model=net), wanted)
