module github.com/tollgate/limitheaders

go 1.22
