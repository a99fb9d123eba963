// Command plot draws the figures of "simrun bench load --json", which it reads from
// standard input, as an SVG picture: write transactions a second by the number of
// nodes, a line for each number of actors.
//
//	go run ./cmd/simrun bench load --json | go -C docs/plot run . ../load.svg
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "plot: %v\n", err)
		os.Exit(2)
	}
}

func run(args []string, in io.Reader) error {
	if len(args) != 1 {
		return errors.New("usage: plot FILE.svg <load.json")
	}
	lines, err := read(in)
	if err != nil {
		return err
	}
	p, err := draw(lines)
	if err != nil {
		return err
	}
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, args[0])
}

// read returns the points of each number of actors.
func read(in io.Reader) (map[int]plotter.XYs, error) {
	var d struct {
		Rows []struct {
			Nodes  int     `json:"nodes"`
			Actors int     `json:"actors"`
			Writes float64 `json:"writes_per_second"`
		} `json:"rows"`
	}
	if err := json.NewDecoder(in).Decode(&d); err != nil {
		return nil, fmt.Errorf("read the figures: %w", err)
	}
	if len(d.Rows) == 0 {
		return nil, errors.New("there are no rows in the input")
	}
	lines := make(map[int]plotter.XYs)
	for i, r := range d.Rows {
		if r.Nodes < 1 || r.Writes <= 0 {
			return nil, fmt.Errorf("row %d has %d nodes and %v writes a second, both must be above 0", i, r.Nodes, r.Writes)
		}
		lines[r.Actors] = append(lines[r.Actors], plotter.XY{X: float64(r.Nodes), Y: r.Writes})
	}
	return lines, nil
}

func draw(lines map[int]plotter.XYs) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Write transactions a second of a cluster at rest"
	p.X.Label.Text = "nodes"
	p.Y.Label.Text = "writes / s"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	for i, actors := range slices.Sorted(maps.Keys(lines)) {
		line, points, err := plotter.NewLinePoints(lines[actors])
		if err != nil {
			return nil, err
		}
		line.Color, points.Color = plotutil.Color(i), plotutil.Color(i)
		line.Dashes, points.Shape = plotutil.Dashes(i), plotutil.Shape(i)
		// The lines lie on each other: the shapes of the points show all.
		points.Radius = vg.Points(float64(4 + 3*i))
		p.Add(line, points)
		p.Legend.Add(fmt.Sprintf("%d actors", actors), line, points)
	}
	return p, nil
}
