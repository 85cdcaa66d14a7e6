"""Muon: momentum whose update is made orthogonal, for hidden matrices (Keller Jordan, 2024).

torch.optim.Muon always iterates in bf16, which is very slow on a CPU without bf16 instructions; here the type is a choice,
and matrices of one shape are iterated together.
"""

import torch

# Coefficients of the quintic Newton-Schulz iteration from the same source.
A, B, C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """The step is scaled to the size of an AdamW step: 0.2 · sqrt(longer side)."""

    def __init__(self, matrices, lr, weight_decay=0.05, momentum=0.95, dtype=torch.float32):
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self):
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape = {}
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape.setdefault(matrix.shape, []).append(matrix)
            for shape, matrices in by_shape.items():
                updates = orthogonal(torch.stack([self.direction(m, group["momentum"]) for m in matrices]), self.dtype)
                for matrix, update in zip(matrices, updates):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(update, alpha=-0.2 * group["lr"] * max(shape) ** 0.5)

    def direction(self, matrix, momentum):
        """Nesterov momentum of a matrix."""
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        state["momentum"].lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(state["momentum"], momentum)


def orthogonal(matrices, dtype):
    """(N, rows, columns) → the nearest matrices with orthonormal rows or columns, roughly."""
    x = matrices.to(dtype)
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2).contiguous() if tall else x
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    for _ in range(ITERATIONS):
        square = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=B, alpha=C), x, beta=A)
    return (x.transpose(1, 2) if tall else x).to(matrices.dtype)
