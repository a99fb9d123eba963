package command

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) scenariosCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "scenarios",
		Short: "List the scenarios",
		Long: `Scenarios lists what can be run: the name, what is raced, and the events that a
large enough batch of seeds must have seen at least once.`,
		Example: `  simrun scenarios
  simrun scenarios --json | jq -r .scenarios[].name`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.scenariosAsJSON()
			}
			var b strings.Builder
			for i, s := range a.subjects {
				if i > 0 {
					b.WriteByte('\n')
				}
				fmt.Fprintf(&b, "%s\n    %s\n    sometimes (in %d seeds): %s\n", s.Name, s.About, s.MinSeeds, strings.Join(s.Sometimes, ", "))
			}
			_, err := fmt.Fprint(a.stdout, b.String())
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func (a *app) scenariosAsJSON() error {
	type item struct {
		Name      string   `json:"name"`
		About     string   `json:"about"`
		Sometimes []string `json:"sometimes"`
		MinSeeds  int      `json:"min_seeds"`
	}
	items := make([]item, 0, len(a.subjects))
	for _, s := range a.subjects {
		items = append(items, item{s.Name, s.About, s.Sometimes, s.MinSeeds})
	}
	return a.printJSON(map[string]any{"scenarios": items})
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
