"""Draws the project's 1080x810 picture: a yellow dump truck on a road, trees, sun, worker.

Usage: draw_road.py OUTPUT.png

Drawn twice as large and scaled down, so that edges are smooth; then stored with
a palette of 256 colours. Deterministic: the same Pillow writes the same pixels.
"""

import sys

from PIL import Image, ImageDraw

WIDTH, HEIGHT, SCALE = 1080, 810, 2


class Canvas:
    """A drawing whose coordinates are those of the finished picture."""

    def __init__(self):
        self.image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE))
        self.draw = ImageDraw.Draw(self.image)

    def box(self, x0, y0, x1, y1, colour):
        self.draw.rectangle([n * SCALE for n in (x0, y0, x1, y1)], fill=colour)

    def disc(self, x, y, radius, colour):
        self.draw.ellipse([n * SCALE for n in (x - radius, y - radius, x + radius, y + radius)], fill=colour)

    def shape(self, points, colour):
        self.draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=colour)

    def finished(self):
        return self.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def landscape(canvas):
    for y in range(0, 470, 10):
        share = y / 470
        canvas.box(0, y, WIDTH, y + 10, (int(120 + 80 * share), int(180 + 45 * share), int(235 + 10 * share)))
    canvas.disc(905, 120, 62, (255, 216, 80))
    for x, y in ((190, 120), (245, 105), (300, 125), (560, 80), (610, 70), (660, 85)):
        canvas.disc(x, y, 36, (246, 249, 252))
    canvas.shape([(0, 430), (180, 330), (380, 420), (600, 340), (860, 425), (1080, 360), (1080, 500), (0, 500)],
                 (120, 160, 120))
    canvas.box(0, 465, WIDTH, HEIGHT, (112, 168, 84))


def road(canvas):
    canvas.box(0, 560, WIDTH, 760, (84, 86, 92))
    canvas.box(0, 560, WIDTH, 568, (232, 232, 226))
    canvas.box(0, 752, WIDTH, 760, (232, 232, 226))
    for x in range(20, WIDTH, 150):
        canvas.box(x, 690, x + 80, 700, (244, 222, 120))


def tree(canvas, x, ground, size):
    canvas.box(x - size // 8, ground - size, x + size // 8, ground, (112, 76, 46))
    for dx, dy, radius, colour in ((-0.35, 1.1, 0.45, (38, 110, 52)), (0.35, 1.1, 0.45, (44, 120, 58)),
                                   (0, 1.5, 0.55, (52, 134, 64))):
        canvas.disc(x + dx * size, ground - dy * size, radius * size, colour)


def truck(canvas):
    yellow, dark, shade = (247, 190, 28), (40, 42, 46), (214, 156, 16)
    canvas.box(270, 580, 790, 612, dark)
    canvas.shape([(250, 400), (600, 400), (570, 575), (300, 575)], yellow)
    canvas.shape([(236, 388), (614, 388), (610, 408), (242, 408)], shade)
    for x in (340, 410, 480, 545):
        canvas.shape([(x - 7, 410), (x + 7, 410), (x + 5, 572), (x - 5, 572)], shade)
    canvas.shape([(622, 590), (622, 420), (715, 420), (760, 500), (800, 510), (800, 590)], yellow)
    canvas.shape([(650, 440), (706, 440), (740, 502), (650, 502)], (170, 214, 236))
    canvas.box(644, 515, 690, 522, dark)
    canvas.disc(792, 545, 12, (255, 246, 200))
    canvas.box(770, 585, 812, 606, dark)
    for x in (345, 455, 715):
        canvas.disc(x, 622, 48, (26, 27, 30))
        canvas.disc(x, 622, 23, (168, 172, 178))
        canvas.disc(x, 622, 8, dark)


def worker(canvas, x, ground):
    canvas.box(x - 18, ground - 70, x - 3, ground, (44, 62, 110))
    canvas.box(x + 3, ground - 70, x + 18, ground, (44, 62, 110))
    canvas.box(x - 25, ground - 150, x + 25, ground - 68, (240, 110, 30))
    canvas.box(x - 25, ground - 120, x + 25, ground - 110, (240, 240, 160))
    canvas.shape([(x - 25, ground - 148), (x - 62, ground - 190), (x - 52, ground - 200), (x - 12, ground - 148)],
                 (240, 110, 30))
    canvas.disc(x - 58, ground - 196, 10, (226, 178, 140))
    canvas.box(x + 25, ground - 146, x + 38, ground - 84, (240, 110, 30))
    canvas.disc(x, ground - 172, 21, (226, 178, 140))
    canvas.draw.pieslice([n * SCALE for n in (x - 25, ground - 202, x + 25, ground - 152)], 180, 360, (236, 50, 44))
    canvas.box(x - 30, ground - 180, x + 30, ground - 174, (236, 50, 44))


def cone(canvas, x, ground):
    canvas.box(x - 24, ground - 8, x + 24, ground, (200, 76, 20))
    canvas.shape([(x - 16, ground - 8), (x - 4, ground - 66), (x + 4, ground - 66), (x + 16, ground - 8)], (240, 96, 26))
    canvas.shape([(x - 11, ground - 30), (x - 8, ground - 44), (x + 8, ground - 44), (x + 11, ground - 30)], (248, 248, 248))


def main():
    canvas = Canvas()
    landscape(canvas)
    for x, ground, size in ((70, 545, 110), (180, 540, 84), (860, 545, 100), (990, 550, 128)):
        tree(canvas, x, ground, size)
    road(canvas)
    truck(canvas)
    worker(canvas, 935, 715)
    cone(canvas, 845, 735)
    cone(canvas, 140, 730)
    picture = canvas.finished().quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    picture.save(sys.argv[1], optimize=True)


main()
