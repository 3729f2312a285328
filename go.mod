module groundhog

go 1.26
