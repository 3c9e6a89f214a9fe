"""Models and data sets that jobs may name."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from contract.registry import RegisteredData, RegisteredModel, Registry, load_registry
from contract.schemas import Pooling
from service.deps import Reader, WithStores

router = APIRouter(prefix="/v1/models", tags=["models"])


class OfferedModel(BaseModel):
    """A registered model, as far as those who name it need to know."""

    name: str
    description: str
    trained: bool = Field(description="Whether there are weights; if not, only the state `untrained` exists.")
    pooling: Pooling = Field(description="What becomes of a token axis where a job does not say it.")
    layers: list[str] = Field(description="Names of the layers, where the administrator listed them.")


class OfferedData(BaseModel):
    """A registered data set."""

    name: str
    description: str


class Offer(BaseModel):
    """Everything that is registered, by name."""

    models: list[OfferedModel]
    data: list[OfferedData]


@router.get("", operation_id="list_models")
def list_models(found: WithStores, _: Reader) -> Offer:
    """List the models and data sets that `inputs` of an analysis may name. Where they lie is not told."""
    return offered(load_registry(found.settings.models_file))


def offered(registry: Registry) -> Offer:
    """Return what is told of a registry."""
    return Offer(
        models=[_model(name, registry.models[name]) for name in sorted(registry.models)],
        data=[_data(name, registry.data[name]) for name in sorted(registry.data)],
    )


def _model(name: str, model: RegisteredModel) -> OfferedModel:
    return OfferedModel(
        name=name,
        description=model.description,
        trained=model.trained,
        pooling=model.pooling,
        layers=model.layers,
    )


def _data(name: str, data: RegisteredData) -> OfferedData:
    return OfferedData(name=name, description=data.description)
