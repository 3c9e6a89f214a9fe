"""Models and data sets that the inputs of an analysis may name."""

from pydantic import BaseModel, Field

from contract.schemas.request import Pooling


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
