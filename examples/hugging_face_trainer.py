"""A transformer trained by the Hugging Face `Trainer`, its layers recorded epoch by epoch. Nothing is downloaded."""

from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

from interlayer.local import analyze
from interlayer.record.hugging_face import RecordLayers

N_TOKENS, N_WORDS, N_CLASSES = 12, 40, 3


class Sentences(Dataset[dict[str, torch.Tensor]]):
    """Sentences of random words and lengths; a class has words of its own, strewn in."""

    def __init__(self, n_sentences: int) -> None:
        draw = torch.Generator().manual_seed(0)
        self.labels = torch.arange(n_sentences) % N_CLASSES
        words = torch.randint(10, N_WORDS, (n_sentences, N_TOKENS), generator=draw)
        own = torch.rand(words.shape, generator=draw) < 0.25
        lengths = torch.randint(6, N_TOKENS + 1, (n_sentences, 1), generator=draw)
        self.mask = (torch.arange(N_TOKENS) < lengths).long()
        self.words = torch.where(own, self.labels[:, None] + 1, words) * self.mask

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.words[row], "attention_mask": self.mask[row], "labels": self.labels[row]}


def main(folder: Path = Path(), n_epochs: int = 3, n_sentences: int = 300) -> None:
    """Train, and print the separation of the mean token after the last encoder layer."""
    set_seed(0)
    config = BertConfig(
        vocab_size=N_WORDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=N_TOKENS,
    )  # fmt: skip
    config.num_labels = N_CLASSES
    data = Sentences(n_sentences)
    callback = RecordLayers(
        {"train": DataLoader(data, batch_size=64)}, folder, layers=["bert.encoder.layer.1"], pooling="mean"
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"), num_train_epochs=n_epochs, per_device_train_batch_size=16,
        learning_rate=2e-3, save_strategy="no", report_to=[], disable_tqdm=True, use_cpu=True, logging_strategy="no",
    )  # fmt: skip
    Trainer(BertForSequenceClassification(config), arguments, train_dataset=data, callbacks=[callback]).train()
    for separation in analyze(callback.series.inputs).separations:
        print(f"epoch {separation.step}: mean separation {separation.mean:.3f}")


if __name__ == "__main__":
    main()
