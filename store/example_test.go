package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

func ExampleDB_Transact() {
	engine := memory.New(memory.Options{})
	defer engine.Close()
	db, err := store.Open(engine, clock.System(), rand.New(rand.NewPCG(1, 2)), store.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	_, err = db.Transact(ctx, func(tx store.Tx) error {
		tx.Set([]byte("fruit/apple"), []byte("red"))
		tx.Set([]byte("fruit/pear"), []byte("green"))
		return nil
	})
	fmt.Println(err)

	err = db.Read(ctx, func(r store.Reader) error {
		rows, _, err := r.GetRange([]byte("fruit/"), []byte("fruit0"), store.RangeOptions{})
		for _, kv := range rows {
			fmt.Printf("%s is %s\n", kv.Key, kv.Value)
		}
		return err
	})
	fmt.Println(err)
	// Output:
	// <nil>
	// fruit/apple is red
	// fruit/pear is green
	// <nil>
}
