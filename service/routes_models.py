"""Models and data sets that jobs may name."""

from fastapi import APIRouter

from contract.registry import RegisteredModel, Registry, load_registry
from contract.schemas.offer import Offer, OfferedData, OfferedModel
from service.deps import Reader, WithStores

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", operation_id="list_models")
def list_models(found: WithStores, _: Reader) -> Offer:
    """List the models and data sets that `inputs` of an analysis may name. Where they lie is not told."""
    return offered(load_registry(found.settings.models_file))


def offered(registry: Registry) -> Offer:
    """Return what is told of a registry."""
    return Offer(
        models=[_model(name, registry.models[name]) for name in sorted(registry.models)],
        data=[OfferedData(name=name, description=registry.data[name].description) for name in sorted(registry.data)],
    )


def _model(name: str, model: RegisteredModel) -> OfferedModel:
    return OfferedModel(
        name=name,
        description=model.description,
        trained=model.trained,
        pooling=model.pooling,
        layers=model.layers,
    )
