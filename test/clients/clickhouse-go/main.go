// Reads from ClickHouse as Grafana's data source does: clickhouse-go over HTTP.
//
// Usage: clickhouse-go ADDRESS COMPRESSION; statements are read from standard input as a JSON array of
// {"sql": …, "parameters": {…}}. Writes a JSON array: for each statement its rows of values as text, or its error.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"github.com/ClickHouse/clickhouse-go/v2"
)

type statement struct {
	SQL        string            `json:"sql"`
	Parameters map[string]string `json:"parameters"`
}

type result struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
	Error   string     `json:"error"`
}

func main() {
	var statements []statement
	fail(json.NewDecoder(os.Stdin).Decode(&statements))
	options := &clickhouse.Options{
		Protocol: clickhouse.HTTP,
		Addr:     []string{os.Args[1]},
		Auth:     clickhouse.Auth{Username: "default"},
	}
	if os.Args[2] == "gzip" {
		options.Compression = &clickhouse.Compression{Method: clickhouse.CompressionGZIP}
	}
	connection, err := clickhouse.Open(options)
	fail(err)
	fail(connection.Ping(context.Background()))
	results := make([]result, len(statements))
	for index, each := range statements {
		read, err := run(connection, each)
		if err != nil {
			read.Error = err.Error()
		}
		results[index] = read
	}
	fail(json.NewEncoder(os.Stdout).Encode(results))
}

func run(connection clickhouse.Conn, query statement) (result, error) {
	read := result{Columns: []string{}, Rows: [][]string{}}
	ctx := clickhouse.Context(context.Background(), clickhouse.WithParameters(query.Parameters))
	rows, err := connection.Query(ctx, query.SQL)
	if err != nil {
		return read, err
	}
	defer rows.Close()
	read.Columns = rows.Columns()
	for rows.Next() {
		values := make([]any, len(read.Columns))
		for index, column := range rows.ColumnTypes() {
			values[index] = reflect.New(column.ScanType()).Interface()
		}
		if err := rows.Scan(values...); err != nil {
			return read, err
		}
		row := make([]string, len(values))
		for index, value := range values {
			row[index] = asText(reflect.ValueOf(value).Elem())
		}
		read.Rows = append(read.Rows, row)
	}
	return read, rows.Err()
}

func asText(value reflect.Value) string {
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return "null"
		}
		if number, ok := value.Interface().(fmt.Stringer); ok {
			return number.String()
		}
		return asText(value.Elem())
	}
	if value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Pointer {
		elements := make([]string, value.Len())
		for index := range elements {
			elements[index] = asText(value.Index(index))
		}
		return fmt.Sprint(elements)
	}
	return fmt.Sprint(value.Interface())
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
